# Mask R-CNN R50-FPN on LVIS v1: MMDetection's own file; recipes differ from it by what fasa.tasks.detection.configs
# lays over it.
_base_ = "mmdet::lvis/mask-rcnn_r50_fpn_sample1e-3_ms-1x_lvis-v1.py"
