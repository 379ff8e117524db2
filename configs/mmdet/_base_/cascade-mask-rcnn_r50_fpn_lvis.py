# Cascade Mask R-CNN R50-FPN on LVIS v1. MMDetection has it with Seesaw loss only: this is its model without that.
# The number of classes is laid over it.
_base_ = [
    "mmdet::_base_/models/cascade-mask-rcnn_r50_fpn.py",
    "mmdet::_base_/datasets/lvis_v1_instance.py",
    "mmdet::_base_/schedules/schedule_1x.py",
    "mmdet::_base_/default_runtime.py",
]

model = dict(test_cfg=dict(rcnn=dict(score_thr=0.0001, max_per_img=300)))
