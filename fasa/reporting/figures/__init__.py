"""The paper's figures, drawn from the runs' metrics: one file per kind of figure."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.figure import Figure as Canvas

from fasa import atomic
from fasa.errors import UserError
from fasa.reporting.figures import (
    class_counts,
    class_groups,
    class_probabilities,
    gains,
    learning_curves,
    published_and_ours,
    qualitative,
    sampling_by_class,
    sampling_by_group,
    style,
    weight_norms,
)

if TYPE_CHECKING:
    from fasa.study import Study
    from fasa.study.artifacts import Figure

KINDS = {
    "class_counts": class_counts.draw,
    "class_probabilities": class_probabilities.draw,
    "weight_norms": weight_norms.draw,
    "sampling_by_group": sampling_by_group.draw,
    "sampling_by_class": sampling_by_class.draw,
    "class_groups": class_groups.draw,
    "gains": gains.draw,
    "tide_errors": published_and_ours.draw_errors,
    "instance_bins": published_and_ours.draw_bins,
    "qualitative": qualitative.draw,
    "learning_curves": learning_curves.draw,
}
DOTS_PER_INCH = 200

# Without dates and program versions, the same runs give the same bytes.
_METADATA = {"pdf": {"CreationDate": None, "Creator": None, "Producer": None}, "png": {"Software": None}}


def draw(figure: Figure, study: Study) -> Canvas:
    """Draw ``figure`` from the runs of ``study``; without any run, the picture says so in words.

    Raises:
        UserError: there is no such kind of figure.
    """
    if figure.kind not in KINDS:
        raise UserError(f"figure {figure.name}: kind {figure.kind!r} is unknown; use one of {', '.join(KINDS)}.")
    with style.applied():
        return KINDS[figure.kind](figure, study)


def encode(canvas: Canvas, extension: str) -> bytes:
    """The picture as the bytes of a pdf or png file."""
    stream = io.BytesIO()
    with style.applied():
        canvas.savefig(stream, format=extension, dpi=DOTS_PER_INCH, metadata=_METADATA[extension])
    return stream.getvalue()


def save(canvas: Canvas, paths: Mapping[str, Path]) -> None:
    """Write the picture to ``{"pdf": …, "png": …}``."""
    for extension, path in paths.items():
        atomic.write_bytes(path, encode(canvas, extension))
