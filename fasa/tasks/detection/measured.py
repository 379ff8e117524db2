"""The numbers that are measured of a detector, by the names that a table asks for; known without torch."""

from __future__ import annotations

from types import MappingProxyType

_GROUPS = ("AP", "APr", "APc", "APf")
_RATES = (*_GROUPS, "AP50", "AP75", "APs", "APm", "APl", "AR", "ARs", "ARm", "ARl")
_COCO = ("AR1", "AR10")
_BINS = ("AP_1_20", "AP_20_400", "AP_400_8000", "AP_8000")  # of training instances, of COCO-LT
_CALIBRATED = tuple(f"{place}.{name}" for place in ("mask_ap", "box_ap") for name in _RATES)
_COST = ("seconds_per_iteration", "seconds_per_iteration_std", "iterations", "memory_gb", "resident_gb")

MEASURED: tuple[str, ...] = (
    *(f"mask_ap.{name}" for name in (*_RATES, *_COCO, *_BINS)),
    *(f"box_ap.{name}" for name in (*_RATES, *_COCO)),
    *(f"fixed.{name}" for name in _RATES),
    *(f"pool.{name}" for name in _GROUPS),
    *(f"tide.{name}" for name in ("ap", "cls", "loc", "both", "dupe", "bkg", "miss", "classes")),
    *(f"norcal.{power}.{name}" for power in ("whole", "tuned") for name in ("gamma", *_CALIBRATED)),
    *(f"cost.{name}" for name in (*_COST, "seconds_per_adaptation")),
)
COMPARED = MappingProxyType({name: f"mask_ap.{name}" for name in _GROUPS})
