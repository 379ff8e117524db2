# Generated scenes of 64 to 128 pixels on a CPU: an R18 of a third of the channels, small heads, few proposals.
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
    neck=dict(in_channels=[channels, 2 * channels, 4 * channels, 8 * channels], out_channels=64),
    rpn_head=dict(in_channels=64, feat_channels=64, anchor_generator=dict(scales=[4])),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=64),
        mask_roi_extractor=dict(out_channels=64),
        bbox_head=dict(in_channels=64, fc_out_channels=256),
        mask_head=dict(in_channels=64, conv_out_channels=64, num_convs=2, class_agnostic=True),
    ),
    train_cfg=dict(
        rpn=dict(sampler=dict(num=64)), rpn_proposal=dict(nms_pre=400, max_per_img=150), rcnn=dict(sampler=dict(num=64))
    ),
    test_cfg=dict(rpn=dict(nms_pre=200, max_per_img=100), rcnn=dict(score_thr=0.0001, max_per_img=50)),
)
train_pipeline = [  # no flips: a mirrored glyph is another glyph
    dict(type="LoadImageFromFile", backend_args=None),
    dict(type="LoadAnnotations", with_bbox=True, with_mask=True),
    dict(type="PackDetInputs"),
]
test_pipeline = [
    dict(type="LoadImageFromFile", backend_args=None),
    dict(type="Resize", scale_factor=1.0, keep_ratio=True),  # changes nothing, but the heads ask for the factor
    dict(type="PackDetInputs", meta_keys=("img_id", "img_path", "ori_shape", "img_shape", "scale_factor")),
]
optim_wrapper = dict(clip_grad=dict(max_norm=20, norm_type=2))
del channels
