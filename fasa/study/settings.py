"""What Snakemake is told in configs/config.yaml."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from fasa.errors import UserError, closest
from fasa.strict import Strict, merge, parse, read_yaml
from fasa.study.study import MOST_SEEDS

GIVEN = "configs/config.yaml and --config"


class Reproduce(Strict):
    """The tables and figures of ``make reproduce``."""

    all_seeds: tuple[str, ...] = Field((), description="By all seeds of the scale.")
    first_seed: tuple[str, ...] = Field((), description="By the first seed alone.")


class Settings(Strict):
    """How large to run the study, and where official data lie."""

    scale: str = Field(description="One of configs/scales.")
    seeds: int | None = Field(
        None, ge=1, le=MOST_SEEDS, description="N for the seeds 0 to N - 1 of every recipe, in place of the scale's."
    )
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

    def check_names(self, artifacts: Collection[str], where: str) -> None:
        """See that all tables and figures named are among ``artifacts``.

        Raises:
            UserError: one is not; ``where`` is what it calls these settings.
        """
        for key, names in self.reproduce:
            for name in names:
                if name not in artifacts:
                    told = f"names '{name}', which is no table or figure{closest(name, artifacts)}"
                    raise UserError(f"{where}: 'reproduce.{key}' {told}.")


def given_settings(path: Path, config: Mapping[str, Any]) -> Settings:
    """The settings of the file ``path``, and over them Snakemake's ``config``, which is what ``--config`` says.

    Raises:
        UserError: an unknown key, or a value that it cannot have.
    """
    said = {key: str(value) if isinstance(value, date) else value for key, value in config.items()}
    return parse(Settings, merge(read_yaml(path), said), GIVEN)


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
    settings.check_names(artifacts, str(path))
    return settings
