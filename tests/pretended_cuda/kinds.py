"""Recipes of detectors that cover every kind there is in configs/, in two parts for two processes."""

from __future__ import annotations

STARTED_FROM = (  # by others, or by further scenarios
    "mask_rcnn",
    "crt_fasa",
    "bags_fasa",
    "rfs_fasa",
    "rfs_fasa_joint",
    "rfs_fasa_balanced",
    "mask_rcnn_24_fasa_released",
    "eql_24_fasa",
)
OTHERS = (
    "coco_lt_fasa",
    "coco_lt_simcal",
    "rfs_smote",
    "rfs_moex",
    "rfs_chu",
    "rfs_yin",
    "rfs_instaboost",
    "rfs_liu",
    "rfs_balanced_softmax",
    "r101_24",
    "rfs_x101_24",
    "nr_24_fasa",
    "cascade_rfs_r101_24_fasa",
)
RECIPES = STARTED_FROM + OTHERS
