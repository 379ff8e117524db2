_base_ = "./mask-rcnn_r50_fpn_lvis.py"

model = dict(backbone=dict(depth=101, init_cfg=dict(type="Pretrained", checkpoint="torchvision://resnet101")))
