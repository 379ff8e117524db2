"""The report of a scale: one HTML file that needs nothing beside it."""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fasa.reporting import figures, fill_template
from fasa.reporting.cells import CONFIRMED, CONTRADICTED, UNDECIDED, explain_missing, load_runs, lookup, measure_table
from fasa.reporting.layout import lay_out

if TYPE_CHECKING:
    from fasa.study import Study

PAPER = "FASA: Feature Augmentation and Sampling Adaptation for Long-Tailed Instance Segmentation"
VENUE = "Zang, Huang, Loy; ICCV 2021"


@dataclass(frozen=True)
class Picture:
    """A figure of the report: its picture as base64 PNG, and where its PDF lies (None: not rendered yet)."""

    heading: str
    caption: str
    name: str
    png: str
    pdf: str | None


@dataclass(frozen=True)
class Setting:
    """What runs were made with: equal settings are listed once, with the runs that share them."""

    runs: tuple[str, ...]
    code_version: str
    device: str
    packages: str


def render(study: Study) -> str:
    """The whole report as HTML; the same runs give the same bytes."""
    shown = study.started_artifacts()
    recipes = dict.fromkeys(run.recipe for name in shown for run in study.runs(name))
    loaded = {recipe: load_runs(study, recipe) for recipe in recipes}
    made = [metrics for measured, _ in loaded.values() for metrics in measured.values()]
    return fill_template(
        "report.html.j2",
        paper=PAPER,
        venue=VENUE,
        scale=study.scale,
        tables=[lay_out(measure_table(study, table)) for name, table in study.tables.items() if name in shown],
        pictures=[_picture(study, name) for name in study.figures],
        runs=made,
        planned=sum(len(measured) + len(missing) for measured, missing in loaded.values()),
        missing=[(recipe, explain_missing(missing.items())) for recipe, (_, missing) in loaded.items() if missing],
        settings=_settings(made),
        verdict_class=verdict_class,
        level_of=level_of,
    )


def level_of(metrics: dict[str, Any]) -> float | None:
    """The one figure by which a run is listed: a classifier's last accuracy, a detector's AP of masks; a fraction."""
    measurements = metrics["measurements"]
    return lookup(measurements, "accuracy.last" if "accuracy" in measurements else "mask_ap.AP")


def verdict_class(verdict: str) -> str:
    """The CSS class of a verdict: "good", "bad", "open" or "none"; the word itself is always printed too."""
    if verdict == CONFIRMED or verdict.startswith("within"):
        return "good"
    if verdict == CONTRADICTED or verdict.startswith("off"):
        return "bad"
    return "open" if verdict == UNDECIDED else "none"


def _picture(study: Study, name: str) -> Picture:
    """Drawn anew, so that the report never shows a picture older than its tables."""
    figure = study.figures[name]
    png = figures.encode(figures.draw(figure, study), "png")
    pdf = study.figure_paths(name)["pdf"]
    link = Path(os.path.relpath(pdf, study.report_path.parent)).as_posix() if pdf.exists() else None
    heading = f"{figure.title} — {figure.published_as}"
    return Picture(heading, figure.caption, name, base64.b64encode(png).decode(), link)


def _settings(made: list[dict[str, Any]]) -> list[Setting]:
    found: dict[tuple[str, str, str], list[str]] = {}
    for metrics in made:
        packages = ", ".join(f"{name} {version}" for name, version in sorted(metrics["packages"].items()))
        setting = (metrics["code_version"], metrics["device"], packages)
        found.setdefault(setting, []).append(f"{metrics['recipe']} seed {metrics['seed']}")
    return [Setting(tuple(runs), *setting) for setting, runs in found.items()]
