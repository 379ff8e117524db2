# Mask R-CNN R50-FPN on COCO-LT, 12 epochs. `fasa data coco_lt` says what is wrong with the annotations, and makes them
# from SimCal's index of COCO where its file is not at hand.
_base_ = "./_base_/mask-rcnn_r50_fpn_coco-lt.py"

custom_imports = dict(imports=["fasa.mmdet"], allow_failed_imports=False)
custom_hooks = [dict(type="EpochSeedHook")]
train_dataloader = dict(
    persistent_workers=False,
    worker_init_fn=dict(type="seed_worker"),
    dataset=dict(ann_file="annotations/train_coco2017_LT_sampled.json"),
)
