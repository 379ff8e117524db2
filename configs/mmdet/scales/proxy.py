# Generated scenes of 256 pixels on one GPU: the paper's networks whole, on images a sixteenth of its own.
# Objects are of 26 to 90 pixels, a quarter of COCO's, so anchors are half as large; so few need fewer proposals and
# RoIs.
model = dict(
    rpn_head=dict(anchor_generator=dict(scales=[4])),
    train_cfg=dict(
        rpn_proposal=dict(nms_pre=1000, max_per_img=300),
        rcnn=dict(sampler=dict(num=256)),
    ),
    test_cfg=dict(
        rpn=dict(nms_pre=1000, max_per_img=300),
        rcnn=dict(score_thr=0.0001, max_per_img=300),
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
