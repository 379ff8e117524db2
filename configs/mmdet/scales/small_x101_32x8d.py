# Where the paper takes ResNeXt-101-32x8d: a narrow ResNeXt-50 with 8 groups.
model = dict(
    backbone=dict(
        type="ResNeXt",
        depth=50,
        groups=8,
        base_width=8,
        base_channels=16,
        stem_channels=16,
        norm_cfg=dict(type="BN", requires_grad=True),
    ),
    neck=dict(in_channels=[64, 128, 256, 512]),
)
