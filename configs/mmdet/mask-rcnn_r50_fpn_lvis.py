# Mask R-CNN R50-FPN on LVIS v1, 12 epochs, every image once an epoch.
_base_ = "./_base_/mask-rcnn_r50_fpn_lvis.py"

custom_imports = dict(imports=["fasa.mmdet"], allow_failed_imports=False)
custom_hooks = [dict(type="EpochSeedHook")]
train_dataloader = dict(
    persistent_workers=False,
    worker_init_fn=dict(type="seed_worker"),
    dataset=dict(_delete_=True, **_base_.train_dataloader.dataset.dataset),  # MMDetection's file repeats images
)
val_evaluator = dict(type="FasaLVISMetric")
test_evaluator = val_evaluator
