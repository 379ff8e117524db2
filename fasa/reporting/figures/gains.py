"""Figure 1c: what FASA adds to the AP of every baseline, and to its training time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from matplotlib.figure import Figure as Canvas

from fasa.errors import UserError
from fasa.reporting.cells import lookup
from fasa.reporting.figures import bars, style
from fasa.reporting.figures.published import published
from fasa.reporting.figures.series import Series, empty, gather, missing_note, present, sources

if TYPE_CHECKING:
    from fasa.study import Study
    from fasa.study.artifacts import Figure

GAINS = {"lvis.AP": "gain in AP", "lvis.APr": "gain in AP$_r$"}
TIME = "cost.seconds_per_iteration"
PUBLISHED_TIME = 3  # per cent, "on average": caption of figure 1


def draw(figure: Figure, study: Study) -> Canvas:
    """A panel for each gain, published beside ours, and one for the added time.

    Each group of the figure is a baseline and, after it, the same with FASA; runs are paired by seed.

    Raises:
        UserError: a group that is not a pair.
    """
    series = gather(figure, study, "lvis", "AP")
    pairs = _pairs(series, figure.name)
    if not present(series):
        return empty(figure, study, series)
    canvas = Canvas(figsize=(style.NARROW, 4.4))
    grid = canvas.subplots(len(GAINS) + 1, 1, sharex=True, height_ratios=[1] * len(GAINS) + [0.8])
    for axes, (measure, name) in zip(grid, GAINS.items(), strict=False):
        told = [_published(study, *pair, measure) for pair in pairs.values()]
        ours = [[100 * gain for gain in gains(*pair, measure)] for pair in pairs.values()]
        bars.cluster(axes, told, 0, 2, "published", "{:+.1f}")
        bars.cluster(axes, ours, 1, 2, sources(series), "{:+.1f}")
        axes.set_ylabel(f"{name} (points)")
    times = grid[-1]
    line = times.axhline(PUBLISHED_TIME, color="black", linewidth=0.9, linestyle=(0, (4, 2)))
    bars.cluster(times, [added_time(*pair) for pair in pairs.values()], 1, 2, "", "{:+.1f}")
    style.legend_above(times, handles=[line], labels=[f"published: about {PUBLISHED_TIME} %, on average"])
    times.set_ylabel("added time (%)")
    for axes in grid:
        bars.places(axes, list(pairs))
    style.legend_above(grid[0], columns=2)
    text = "Whiskers: range over seeds. –: no number. Time: of an iteration of training."
    style.note(canvas, f"{text} {missing_note(series)}".strip())
    return canvas


def gains(baseline: Series, fasa: Series, measure: str) -> list[float]:
    """By how much ``measure`` is larger with FASA, for every seed that has both, in the runs' own unit."""
    without, with_fasa = _by_seed(baseline, measure), _by_seed(fasa, measure)
    return [with_fasa[seed] - without[seed] for seed in sorted(with_fasa.keys() & without.keys())]


def added_time(baseline: Series, fasa: Series) -> list[float]:
    """By how many per cent an iteration takes longer, for every seed whose two runs were timed on the same device."""
    without, with_fasa = _by_seed(baseline, TIME), _by_seed(fasa, TIME)
    devices = [{run["seed"]: run["device"] for run in one.runs} for one in (baseline, fasa)]
    both = sorted(with_fasa.keys() & without.keys())
    return [100 * (with_fasa[s] / without[s] - 1) for s in both if devices[0][s] == devices[1][s]]


def _by_seed(one: Series, measure: str) -> dict[int, float]:
    values = {run["seed"]: lookup(run["measurements"], measure) for run in one.runs}
    return {seed: value for seed, value in values.items() if value is not None}


def _published(study: Study, baseline: Series, fasa: Series, measure: str) -> list[float]:
    without, with_fasa = (published(study, one.recipe, measure) for one in (baseline, fasa))
    return [] if without is None or with_fasa is None else [with_fasa - without]


def _pairs(series: list[Series], figure: str) -> Mapping[str, tuple[Series, Series]]:
    grouped: dict[str, list[Series]] = {}
    for one in series:
        grouped.setdefault(one.group, []).append(one)
    for group, members in grouped.items():
        if len(members) != 2:
            raise UserError(f"figure {figure}: group '{group}' is not a baseline and the same with FASA; give two.")
    return {group: (members[0], members[1]) for group, members in grouped.items()}
