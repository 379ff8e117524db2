# Mask R-CNN on COCO-LT: one scale, class-agnostic boxes and masks, as SimCal has them; rate and losses are not SimCal's
# (docs/deviations.md).
_base_ = "mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py"

model = dict(roi_head=dict(bbox_head=dict(reg_class_agnostic=True), mask_head=dict(class_agnostic=True)))
optim_wrapper = dict(clip_grad=dict(max_norm=35, norm_type=2))
