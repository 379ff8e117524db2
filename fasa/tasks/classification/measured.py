"""The numbers that are measured of a classifier, by the names that a table asks for; known without torch."""

from __future__ import annotations

MEASURED: tuple[str, ...] = tuple(
    f"accuracy.{name}"
    for name in (
        *("last", "best", "many", "medium", "few"),
        *("logit_adjusted", "logit_adjusted_tuned", "logit_adjusted_tau"),
    )
)
