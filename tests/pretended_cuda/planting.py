"""Planting a mistake: a name of the project's replaced while a scenario runs."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

Scenario = Callable[[Path], Any]


@dataclass(frozen=True)
class Fault:
    """A mistake that somebody could make.

    Attributes:
        replaced: what is replaced, as (object, name of its attribute, by what).
        scenario: what runs with it.
        caught: a pattern of the error that it must end with.
    """

    replaced: tuple[tuple[Any, str, Any], ...]
    scenario: Scenario
    caught: str

    def __call__(self, folder: Path) -> None:
        """Run the scenario with the mistake in."""
        with ExitStack() as stack:
            for target, name, replacement in self.replaced:
                stack.enter_context(patch.object(target, name, replacement))
            self.scenario(folder)


def scenarios_of(faults: dict[str, Fault]) -> dict[str, Scenario]:
    """The faults, and before them each of their scenarios with nothing planted: that must pass."""
    clean = {f"no fault in {fault.scenario.__name__}": fault.scenario for fault in faults.values()}
    return clean | faults
