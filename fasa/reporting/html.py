"""The report of a scale: one HTML file that needs nothing beside it."""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from fasa import atomic
from fasa.reporting import comparison, figures
from fasa.reporting.cells import explain_missing, lookup
from fasa.reporting.sheet import build_sheet

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
class Origin:
    """A setting that runs were made in: equal settings are told once, with the runs that share them."""

    runs: tuple[str, ...]
    code_version: str
    device: str
    packages: str


def write_report(study: Study) -> Path:
    """Write ``study.report_path`` and return it; the same runs give the same bytes."""
    atomic.write_text(study.report_path, render_html(study))
    return study.report_path


def render_html(study: Study) -> str:
    """The whole report as HTML; everything that comes from a file is escaped."""
    environment = Environment(
        loader=PackageLoader("fasa.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    load = cache(study.load_metrics)
    shown = study.started_artifacts()
    every = dict.fromkeys(run for name in shown for run in study.runs(name))
    runs = [(run.recipe, run.seed, load(run.recipe, run.seed)) for run in every]
    made = [metrics for _, _, metrics in runs if metrics is not None]
    return environment.get_template("report.html.j2").render(
        paper=PAPER,
        venue=VENUE,
        scale=study.scale,
        sheets=[build_sheet(study, table) for table in study.tables.values() if table.name in shown],
        pictures=[_picture(study, name) for name in study.figures],
        runs=made,
        planned=len(runs),
        missing=_missing(study, [(recipe, seed) for recipe, seed, metrics in runs if metrics is None]),
        origins=_origins(made),
        verdict_class=verdict_class,
        level_of=level_of,
    )


def level_of(metrics: dict[str, Any]) -> float | None:
    """The one figure by which a run is listed: a classifier's last accuracy, a detector's AP of masks; a fraction."""
    measurements = metrics["measurements"]
    return lookup(measurements, "accuracy.last" if "accuracy" in measurements else "lvis.AP")


def verdict_class(verdict: str) -> str:
    """The CSS class of a verdict: "good", "bad", "open" or "none"; the word itself is always printed too."""
    if verdict == comparison.CONFIRMED or verdict.startswith("within"):
        return "good"
    if verdict == comparison.CONTRADICTED or verdict.startswith("off"):
        return "bad"
    return "open" if verdict == comparison.UNDECIDED else "none"


def _picture(study: Study, name: str) -> Picture:
    """Drawn anew, so that the report never shows a picture older than its tables."""
    figure = study.figures[name]
    png = figures.encode(figures.draw(figure, study), "png")
    pdf = study.figure_paths(name)["pdf"]
    link = Path(os.path.relpath(pdf, study.report_path.parent)).as_posix() if pdf.exists() else None
    heading = f"{figure.title} — {figure.published_as}"
    return Picture(heading, figure.caption, name, base64.b64encode(png).decode(), link)


def _missing(study: Study, runs: list[tuple[str, int]]) -> list[tuple[str, str]]:
    """(recipe, what of it is missing and why), one line per recipe."""
    by_recipe: dict[str, list[tuple[int | None, str]]] = {}
    for recipe, seed in runs:
        by_recipe.setdefault(recipe, []).append((seed, study.missing_reason(recipe, seed)))
    return [(recipe, explain_missing(tuple(seeds))) for recipe, seeds in by_recipe.items()]


def _origins(made: list[dict[str, Any]]) -> list[Origin]:
    settings: dict[tuple[str, str, str], list[str]] = {}
    for metrics in made:
        packages = ", ".join(f"{name} {version}" for name, version in sorted(metrics["packages"].items()))
        setting = (metrics["code_version"], metrics["device"], packages)
        settings.setdefault(setting, []).append(f"{metrics['recipe']} seed {metrics['seed']}")
    return [Origin(tuple(runs), *setting) for setting, runs in settings.items()]
