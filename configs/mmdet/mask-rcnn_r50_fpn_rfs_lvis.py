# The same with repeat factor sampling, the baseline of the paper's tables 1 to 3.
_base_ = "./mask-rcnn_r50_fpn_lvis.py"

train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type="ClassBalancedDataset",
        oversample_thr=1e-3,
        dataset=_base_.train_dataloader.dataset,
    )
)
