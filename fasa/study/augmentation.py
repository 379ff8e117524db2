"""What a recipe says of its augmenter."""

from __future__ import annotations

from typing import Any

from fasa.study.strict import Strict


class Augmentation(Strict):
    """An augmenter by its name in :data:`fasa.augmenters.AUGMENTERS`, and its options.

    ``epochs`` are further options, those that are epochs of the schedule: a scale shortens them with it.
    """

    name: str = "none"
    options: dict[str, Any] = {}
    epochs: dict[str, int] = {}

    @property
    def of_each_process(self) -> bool:
        """Whether each process is to keep statistics of its own, so that one process alone would change nothing."""
        return self.options.get("global_statistics") is False
