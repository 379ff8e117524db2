"""The paper's figures, drawn from the runs' metrics."""

from __future__ import annotations

import io
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

from fasa.reporting.together import made_once

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

    from fasa.study import Study
    from fasa.study.artifacts import Figure


class Kind(NamedTuple):
    """How a figure is drawn: the ``module.function`` of this package, and the measurement that a run must have.

    ``per_class``: as many values as classes; ``pairs``: each group of the figure is a baseline and the same with FASA.
    """

    function: str
    measurement: str = ""
    per_class: bool = False
    pairs: bool = False


# Modules by name: the kinds are known without matplotlib.
KINDS = {
    "class_counts": Kind("by_class.draw_counts", "virtual_features", per_class=True),
    "class_probabilities": Kind("by_class.draw_probabilities", "class_probabilities", per_class=True),
    "weight_norms": Kind("by_class.draw_norms", "weight_norms", per_class=True),
    "sampling_by_group": Kind("by_epoch.draw_sampling_of_groups", "sampling_trajectory.probabilities"),
    "sampling_by_class": Kind("by_epoch.draw_sampling_of_classes", "sampling_trajectory.probabilities"),
    "learning_curves": Kind("by_epoch.draw_learning_curves", "learning_curve.epoch"),
    "gains": Kind("bars.draw_gains", "mask_ap.AP", pairs=True),
    "tide_errors": Kind("bars.draw_errors", "tide.cls"),
    "instance_bins": Kind("bars.draw_bins", "mask_ap.AP_1_20"),
    "class_groups": Kind("class_groups.draw", "class_features"),
    "qualitative": Kind("qualitative.draw"),
}
# Without dates and program versions, the same runs give the same bytes.
_METADATA = {"pdf": {"CreationDate": None, "Creator": None, "Producer": None}, "png": {"Software": None}}


class Drawing(NamedTuple):
    """A figure without words below it, or None where there is nothing to draw; ``note`` is what they would say."""

    canvas: Canvas | None
    note: str


def draw(figure: Figure, study: Study) -> Canvas:
    """Draw ``figure`` from the runs of ``study``; without any run, the picture says so in words.

    Raises:
        UserError: the groups of the figure are not what its kind draws.
    """
    from fasa.reporting.figures import style

    drawing = _drawing(figure, study, for_paper=False)
    with style.applied():
        return drawing.canvas or style.message(figure.title, drawing.note)


@made_once
def draw_for_paper(figure: Figure, study: Study) -> Drawing:
    """Draw ``figure`` with its notes beside it: they belong into a caption.

    Raises:
        UserError: as of :func:`draw`.
    """
    return _drawing(figure, study, for_paper=True)


def encode(canvas: Canvas, extension: str) -> bytes:
    """The picture as the bytes of a pdf or png file; a png has 256 colours, which are enough at half the size."""
    from PIL import Image

    from fasa.reporting.figures import style

    stream = io.BytesIO()
    with style.applied():
        canvas.savefig(stream, format=extension, dpi="figure", metadata=_METADATA[extension])
    if extension == "png":
        small = io.BytesIO()
        Image.open(stream).convert("RGB").quantize(dither=Image.Dither.NONE).save(small, "png", optimize=True)
        return small.getvalue()
    return stream.getvalue()


def _drawing(figure: Figure, study: Study, for_paper: bool) -> Drawing:
    from fasa.reporting.figures import series, style

    kind = KINDS[figure.kind]
    module, function = kind.function.split(".")
    with style.applied():
        data = series.gather(figure, study, kind, for_paper)
        try:
            data.check_present()
            canvas = getattr(import_module(f"{__name__}.{module}"), function)(data)
        except series.NothingToDraw as reason:
            return Drawing(None, str(reason))
    return Drawing(canvas, " ".join(data.notes))
