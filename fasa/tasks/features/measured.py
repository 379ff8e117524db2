"""The numbers that are measured of a classifier on fixed features, by the names that a table asks for."""

from __future__ import annotations

from types import MappingProxyType

_GROUPS = ("AP", "APr", "APc", "APf")
_PLACES = ("mask_ap", "box_ap")  # every region is its object's own place, so that both are the same

MEASURED: tuple[str, ...] = (
    *(f"{place}.{name}" for place in _PLACES for name in _GROUPS),
    *(f"norcal.{power}.gamma" for power in ("whole", "tuned")),
    *(f"norcal.{power}.{place}.{name}" for power in ("whole", "tuned") for place in _PLACES for name in _GROUPS),
)
COMPARED = MappingProxyType({name: f"mask_ap.{name}" for name in _GROUPS})
