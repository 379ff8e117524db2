"""What Snakemake is told in configs/config.yaml."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Literal

from pydantic import Field

from fasa.errors import UserError, closest
from fasa.strict import Strict, parse, read_yaml


class Reproduce(Strict):
    """The tables and figures of ``make reproduce``."""

    all_seeds: tuple[str, ...] = Field((), description="By all seeds of the scale.")
    first_seed: tuple[str, ...] = Field((), description="By the first seed alone.")


class Settings(Strict):
    """How large to run the study, and where official data lie."""

    scale: str = Field(description="One of configs/scales.")
    device: Literal["cpu", "cuda"] | None = Field(
        None, description="What all runs are trained and measured on, whatever their scale asks for."
    )
    source: str | None = Field(None, description="Archive or folder of CIFAR-100; without it, it is downloaded.")
    lvis: str | None = Field(
        None, description="Folder with lvis_v1_train.json, lvis_v1_val.json, train2017 and val2017."
    )
    coco: str | None = Field(
        None,
        description="Folder with COCO's instances_{train,val}2017.json, train2017, val2017 and SimCal's index of "
        "COCO-LT.",
    )
    reproduce: Reproduce = Field(Reproduce(), description="The tables and figures of `make reproduce`.")


def load_settings(path: Path, artifacts: Collection[str]) -> Settings:
    """The settings, checked against the known tables and figures.

    Raises:
        UserError: an unknown key, scale, table or figure.
    """
    settings = parse(Settings, read_yaml(path), str(path))
    scales = sorted(one.stem for one in (path.parent / "scales").glob("*.yaml"))
    if settings.scale not in scales:
        near = closest(settings.scale, scales) or "; there are " + ", ".join(scales)
        raise UserError(f"{path}: 'scale': there is no scale '{settings.scale}'{near}.")
    for key, names in settings.reproduce:
        for name in names:
            if name not in artifacts:
                told = f"names '{name}', which is no table or figure{closest(name, artifacts)}"
                raise UserError(f"{path}: 'reproduce.{key}' {told}.")
    return settings
