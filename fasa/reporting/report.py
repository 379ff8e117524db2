"""The report of a scale: one HTML file that needs nothing beside it."""

from __future__ import annotations

import base64
import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fasa.reporting import figures, fill_template
from fasa.reporting.best import RULE
from fasa.reporting.cells import CONFIRMED, CONTRADICTED, UNDECIDED, explain_missing, load_runs, lookup, measure_table
from fasa.reporting.class_differences import ClassDifferences, compare_classes
from fasa.reporting.findings import judge_measured, words
from fasa.reporting.findings.evidence import BY_EYE, MIXED, NO_HEADROOM, NOT_RUN, Evidence, JudgedClaim
from fasa.reporting.findings.page import ORDER, count_verdicts
from fasa.reporting.layout import lay_out

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

    from fasa.study import Study

PAPER = "FASA: Feature Augmentation and Sampling Adaptation for Long-Tailed Instance Segmentation"
VENUE = "Zang, Huang, Loy; ICCV 2021"


@dataclass(frozen=True)
class Picture:
    """A figure of the report: its picture as base64 PNG, what its caption adds, and its PDF (None: not rendered)."""

    heading: str
    caption: str
    note: str
    name: str
    png: str
    pdf: str | None


@dataclass(frozen=True)
class Verdict:
    """A claim as the report opens with it: ``evidence`` is the cell that speaks clearest, ``runs`` link to metrics."""

    judged: JudgedClaim
    published: str
    ours: str
    seeds: str
    evidence: str
    tables: tuple[str, ...]
    runs: tuple[tuple[str, str], ...]


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
    measured = [measure_table(study, table) for name, table in study.tables.items() if name in shown]
    started = [lay_out(table) for table in measured if table.started]
    shared = _shared([table.remarks for table in started])
    drawn = {name: figures.draw_for_paper(figure, study) for name, figure in study.figures.items()}
    judged = judge_measured(study, measured)
    verdicts = sorted((_verdict(study, one, loaded) for one in judged), key=lambda v: ORDER.index(v.judged.verdict))
    return fill_template(
        "report.html.j2",
        paper=PAPER,
        venue=VENUE,
        scale=study.scale,
        description=study.descriptions(recipe for recipe, (measured, _) in loaded.items() if measured),
        counts=count_verdicts(judged),
        verdicts=[one for one in verdicts if one.judged.verdict not in (NOT_RUN, BY_EYE)],
        untested=[one for one in verdicts if one.judged.verdict in (NOT_RUN, BY_EYE)],
        tables=started,
        shared=shared,
        rule_of_bold=RULE,
        empty_tables=[lay_out(table).heading for table in measured if not table.started],
        pictures=[_picture(study, name, one.canvas, one.note) for name, one in drawn.items() if one.canvas],
        empty_figures=[(study.figures[name], one.note) for name, one in drawn.items() if one.canvas is None],
        comparisons=[_as_json(one) for one in compare_classes([table.table for table in measured], loaded)],
        runs=made,
        metrics_link=lambda run: _link(study, study.metrics_path(run["recipe"], run["seed"])),
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
    return "open" if verdict in (UNDECIDED, MIXED, NO_HEADROOM) else "none"


def clearest(judged: JudgedClaim) -> Evidence | None:
    """The cell whose test is the most certain; None where no cell was tested."""
    tested = [cell for cell in judged.evidence if cell.p is not None]
    return min(tested, key=lambda cell: cell.p if cell.p is not None else 1.0) if tested else None


def _verdict(study: Study, judged: JudgedClaim, loaded: Mapping[str, Any]) -> Verdict:
    cell = clearest(judged)
    evidence = ""
    if cell is not None:
        column = f", {words.column_of(cell.column)}" if cell.over is None and len(cell.table.columns) > 1 else ""
        evidence = f"{words.comparison_of(cell)}{column}: {words.our_change(cell)}, p (Holm) {words.p_values(cell)}"
    recipes = dict.fromkeys(
        row.recipe for each in judged.evidence for row in (each.row, each.against) if row is not None and each.n
    )
    runs = [
        (f"{recipe}, seed {seed}", _link(study, study.metrics_path(recipe, seed)))
        for recipe in recipes
        for seed in loaded.get(recipe, ((), ()))[0]
    ]
    return Verdict(
        judged=judged,
        published=words.published_range(judged),
        ours=words.our_range(judged),
        seeds=words.seeds_range(judged),
        evidence=evidence,
        tables=tuple(dict.fromkeys(each.table.name for each in judged.evidence if each.n)),
        runs=tuple(runs),
    )


def _shared(remarks: Sequence[tuple[str, ...]]) -> list[str]:
    """What is remarked on more than one table, to be said once."""
    counts = Counter(remark for own in remarks for remark in own)
    return [remark for remark, count in counts.items() if count > 1]


def _as_json(one: ClassDifferences) -> dict[str, Any]:
    """A comparison for the page's script: numbers with two digits, and null for none."""
    rows = [
        [name, count, *(round(value, 2) if math.isfinite(value) else None for value in values)]
        for name, count, *values in one.classes
    ]
    return {"label": one.label, "measure": one.measure, "n": one.n, "classes": rows}


def _picture(study: Study, name: str, canvas: Canvas, note: str) -> Picture:
    """Drawn anew, so that the report never shows a picture older than its tables."""
    figure = study.figures[name]
    png = base64.b64encode(figures.encode(canvas, "png")).decode()
    pdf = study.figure_paths(name)["pdf"]
    heading = f"{figure.title} — {figure.published_as}"
    return Picture(heading, figure.caption, note, name, png, _link(study, pdf) if pdf.exists() else None)


def _link(study: Study, path: Path) -> str:
    return Path(os.path.relpath(path, study.report_path.parent)).as_posix()


def _settings(made: list[dict[str, Any]]) -> list[Setting]:
    found: dict[tuple[str, str, str], list[str]] = {}
    for metrics in made:
        packages = ", ".join(f"{name} {version}" for name, version in sorted(metrics["packages"].items()))
        setting = (metrics["code_version"], metrics["device"], packages)
        found.setdefault(setting, []).append(f"{metrics['recipe']} seed {metrics['seed']}")
    return [Setting(tuple(runs), *setting) for setting, runs in found.items()]
