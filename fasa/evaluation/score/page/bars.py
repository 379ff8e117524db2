"""TIDE's errors as bars, a group for each error and a bar for each file."""

from __future__ import annotations

from collections.abc import Sequence

from fasa.evaluation import Tide
from fasa.evaluation.score.page.markup import Markup, section, sentence, tag
from fasa.evaluation.score.page.styles import COLOURS, fill, legend
from fasa.evaluation.score.report import ERRORS, TIDE_NOTE

NAME, LONGEST, VALUE = 62, 190, 40  # widths of a name, of the longest bar and of a figure
BAR, GAP = 14, 8


def bars(found: Sequence[Tide], labels: Sequence[str]) -> Markup:
    """The section of the charts: tidecv's average, and that over classes with objects."""
    charts = [
        _chart(f"tidecv's average (AP50 {_all([t.ap for t in found])})", [t.errors | t.special for t in found], labels),
        _chart(
            f"Over classes with objects (AP50 {_all([t.ap_gt_classes for t in found])})",
            [t.errors_gt_classes | t.special_gt_classes for t in found],
            labels,
        ),
    ]
    told = "AP50 lost to each kind of error, in points; the numbers of the errors are in the table of figures."
    return section(
        "TIDE", sentence(told), legend(labels, bars=True), tag("div", *charts, class_="charts"), sentence(TIDE_NOTE)
    )


def _all(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.2f}" for value in values)


def _chart(name: str, losses: Sequence[dict[str, float]], labels: Sequence[str]) -> Markup:
    most = max(max(own.values()) for own in losses) or 1.0
    step = BAR * len(losses) + GAP
    drawn, told = [], []
    for row, (error, shown) in enumerate(ERRORS.items()):
        top = row * step + GAP / 2
        drawn.append(tag("text", shown, x=NAME - 6, y=top + (step - GAP) / 2 + 4, text_anchor="end"))
        for file, own in enumerate(losses):
            y, length = top + BAR * file, LONGEST * max(own[error], 0.0) / most
            colour = COLOURS[file % len(COLOURS)]
            drawn.append(
                tag("rect", x=NAME, y=y + 1, width=f"{length:.1f}", height=BAR - 2, fill=fill(file), stroke=colour)
            )
            drawn.append(tag("text", f"{own[error]:.2f}", x=f"{NAME + length + 4:.1f}", y=y + BAR - 3))
        told.append(f"{shown} {_all([own[error] for own in losses])}")
    text = f"Points of AP50 lost, for {', '.join(labels)}: {'; '.join(told)}."
    drawing = tag(
        "svg",
        tag("title", name),
        tag("desc", text),
        *drawn,
        viewBox=f"0 0 {NAME + LONGEST + VALUE} {len(ERRORS) * step}",
        role="img",
    )
    return tag("figure", tag("figcaption", name), drawing)
