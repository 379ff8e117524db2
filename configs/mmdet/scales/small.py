# Generated scenes of 64 to 128 pixels on a CPU: an R18 of a third of the channels, small heads, few proposals.
# Batch norm in pyramid and mask head, and four convolutions there: chosen by short trials of the mask loss, not by AP.
# RowRoIExtractor is mmcv's RoIAlign, several times faster on a processor. One regressor for all classes: in some
# hundred steps one of its own would see a handful of a rare class's boxes, and the method is about classifying them.
# A dict laid over a list (a cascade's heads) is laid over each of its entries.
channels = 24
model = dict(
    backbone=dict(
        type="ResNet",
        depth=18,
        base_channels=channels,
        stem_channels=channels,
        frozen_stages=-1,
        norm_eval=False,
        zero_init_residual=False,
        init_cfg=None,
    ),
    neck=dict(
        in_channels=[channels, 2 * channels, 4 * channels, 8 * channels],
        out_channels=48,
        norm_cfg=dict(type="BN"),
    ),
    rpn_head=dict(in_channels=48, feat_channels=48, anchor_generator=dict(scales=[4])),
    roi_head=dict(
        bbox_roi_extractor=dict(
            type="RowRoIExtractor",
            out_channels=48,
            roi_layer=dict(sampling_ratio=2),
        ),
        mask_roi_extractor=dict(type="RowRoIExtractor", out_channels=48, roi_layer=dict(sampling_ratio=1)),
        bbox_head=dict(in_channels=48, fc_out_channels=256, reg_class_agnostic=True),
        mask_head=dict(
            in_channels=48,
            conv_out_channels=48,
            class_agnostic=True,
            norm_cfg=dict(type="BN"),
        ),
    ),
    train_cfg=dict(
        rpn=dict(sampler=dict(num=64)),
        rpn_proposal=dict(nms_pre=150, max_per_img=100),
        rcnn=dict(sampler=dict(num=48)),
    ),
    test_cfg=dict(
        rpn=dict(nms_pre=200, max_per_img=100),
        rcnn=dict(score_thr=0.0001, max_per_img=50),
    ),
)
train_pipeline = [  # no flips: a mirrored glyph is another glyph
    dict(type="LoadImageFromFile", backend_args=None),
    dict(type="LoadAnnotations", with_bbox=True, with_mask=True),
    dict(type="PackDetInputs"),
]
test_pipeline = [
    dict(type="LoadImageFromFile", backend_args=None),
    dict(type="Resize", scale_factor=1.0, keep_ratio=True),  # changes nothing, but the heads ask for the factor
    dict(
        type="PackDetInputs",
        meta_keys=("img_id", "img_path", "ori_shape", "img_shape", "scale_factor"),
    ),
]
optim_wrapper = dict(clip_grad=dict(max_norm=20, norm_type=2))
del channels
