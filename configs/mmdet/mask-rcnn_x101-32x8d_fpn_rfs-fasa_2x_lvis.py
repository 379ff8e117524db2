_base_ = "./mask-rcnn_r50_fpn_rfs-fasa_2x_lvis.py"

# The weights that detectron2 trained with Caffe2: BGR input under their own mean and spread, batch norm not trained.
model = dict(
    data_preprocessor=dict(mean=[103.530, 116.280, 123.675], std=[57.375, 57.120, 58.395], bgr_to_rgb=False),
    backbone=dict(
        type="ResNeXt",
        depth=101,
        groups=32,
        base_width=8,
        norm_cfg=dict(type="BN", requires_grad=False),
        init_cfg=dict(type="Pretrained", checkpoint="open-mmlab://detectron2/resnext101_32x8d"),
    ),
)
