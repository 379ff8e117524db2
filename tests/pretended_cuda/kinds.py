"""Recipes of detectors that cover every kind there is in configs/, in two parts for two processes.

Backbones and what is done to images on the CPU make no kind.
"""

from __future__ import annotations

STARTED_FROM = (  # by others, or by further scenarios
    "mask_rcnn",
    "crt_fasa",
    "bags_fasa",
    "rfs_fasa",
    "rfs_fasa_joint",
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
    "rfs_liu",
    "rfs_balanced_softmax",
    "nr_24_fasa",
    "cascade_rfs_r101_24_fasa",
)
RECIPES = STARTED_FROM + OTHERS
