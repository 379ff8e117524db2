# The same with FASA, which adapts to the loss on the validation images, repeated by the rule of repeat factor sampling.
_base_ = "./mask-rcnn_r50_fpn_coco-lt.py"

heldout = dict(
    _base_.train_dataloader.dataset,
    ann_file="annotations/instances_val2017.json",
    data_prefix=dict(img="val2017/"),
)
model = dict(
    roi_head=dict(
        bbox_head=dict(
            type="AugmentedBBoxHead",
            augmenter=dict(name="fasa", options=dict()),
            class_counts="data/coco/annotations/train_coco2017_LT_sampled.json",
        )
    )
)
custom_hooks = [
    dict(type="EpochSeedHook"),
    dict(
        type="AdaptationHook",
        dataloader=dict(
            batch_size=2,
            num_workers=2,
            persistent_workers=False,
            worker_init_fn=dict(type="seed_worker"),
            sampler=dict(type="DefaultSampler", shuffle=False, round_up=False),
            dataset=dict(type="ClassBalancedDataset", oversample_thr=1e-3, dataset=heldout),
        ),
    ),
]
del heldout
