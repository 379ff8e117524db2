# Cascade Mask R-CNN R101-FPN on LVIS v1, 24 epochs, with repeat factor sampling and FASA in each of its three stages.
_base_ = "./_base_/cascade-mask-rcnn_r101_fpn_lvis.py"

custom_imports = dict(imports=["fasa.mmdet"], allow_failed_imports=False)
fasa = dict(
    type="AugmentedBBoxHead",
    augmenter=dict(name="fasa", options=dict()),
    class_counts="data/lvis_v1/annotations/lvis_v1_train.json",  # or a JSON list of instances, which is quicker
    num_classes=1203,
)
model = dict(
    roi_head=dict(
        bbox_head=[{**head, **fasa} for head in _base_.model.roi_head.bbox_head],
        mask_head=dict(num_classes=1203),
    )
)
train_dataloader = dict(persistent_workers=False, worker_init_fn=dict(type="seed_worker"))
heldout = dict(_base_.train_dataloader.dataset.dataset, ann_file="annotations/lvis_v1_val.json")
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
train_cfg = dict(max_epochs=24)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.001, by_epoch=False, begin=0, end=500),
    dict(type="MultiStepLR", begin=0, end=24, by_epoch=True, milestones=[16, 22], gamma=0.1),
]
val_evaluator = dict(type="FasaLVISMetric")
test_evaluator = val_evaluator
del fasa, heldout
