# Mask R-CNN on LVIS v1: MMDetection's own file; fasa/tasks/detection/configs.py lays recipes over it.
_base_ = "mmdet::lvis/mask-rcnn_r50_fpn_sample1e-3_ms-1x_lvis-v1.py"
