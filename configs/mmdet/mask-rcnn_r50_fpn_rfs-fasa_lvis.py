# The same with FASA, which adapts to the loss on the validation images, repeated as the training images are.
_base_ = "./mask-rcnn_r50_fpn_rfs_lvis.py"

heldout = dict(_base_.train_dataloader.dataset.dataset, ann_file="annotations/lvis_v1_val.json")
model = dict(
    roi_head=dict(
        bbox_head=dict(
            type="AugmentedBBoxHead",
            augmenter=dict(name="fasa", options=dict()),
            class_counts="data/lvis_v1/annotations/lvis_v1_train.json",  # or a JSON list of instances, which is quicker
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
