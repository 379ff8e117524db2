"""Our figures beside those of the official tools, from the same files."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from fasa import evaluation
from fasa.errors import UserError, install_command
from fasa.evaluation import Evaluation, GroundTruth, Tide
from fasa.evaluation.metrics.average_precision import BINS
from fasa.evaluation.score import official

TIDE_TOLERANCE = 1e-9  # points; tidecv adds up its classes in another order
# What the tools need per image, measured with 1,203 classes; they make a record for every class of every image.
MEGABYTES = {"lvis": 1.3, "tidecv": 1.0}
LARGE = 2_000  # megabytes; from here on there is a warning


class ToolFailed(UserError):
    """An official tool failed; ``compared`` is what the others say."""

    def __init__(self, message: str, compared: list[Comparison]) -> None:
        super().__init__(message)
        self.compared = compared


@dataclass(frozen=True)
class Comparison:
    """One figure, ours and the official one (AP: fraction; TIDE: points); None: no ground truth for it."""

    metric: str
    ours: float | None
    official: float | None
    tool: str
    tolerance: float = 0.0

    @property
    def difference(self) -> float:
        """Absolute; infinite if one of the two is None and the other not."""
        if self.ours is None or self.official is None:
            return 0.0 if self.ours is self.official else math.inf
        return abs(self.ours - self.official)

    @property
    def equal(self) -> bool:
        return self.difference <= self.tolerance


def verify(
    annotations_path: Path,
    detections_path: Path,
    iou_type: str = "segm",
    protocols: Sequence[str] = ("standard",),
    tide: bool = False,
    areas: str = "mask",
    *,
    ground_truth: GroundTruth | None = None,
    instance_counts: np.ndarray | None = None,
    evaluations: dict[str, Evaluation] | None = None,
    tide_result: Tide | None = None,
) -> list[Comparison]:
    """Run the official tools on two files, and compare every figure of every protocol; AP's tables cell by cell, too.

    ``ground_truth``, ``evaluations`` (by protocol) and ``tide_result`` are given if they were computed before.

    Raises:
        UserError: a tool is missing, or the annotations are not JSON.
        ToolFailed: a tool fails.
    """
    truth = ground_truth or evaluation.load_ground_truth(annotations_path, masks=iou_type != "bbox")
    check_tools(annotations_path, truth, tide)
    if evaluations is None:
        found = evaluation.overlaps(truth, detections_path, iou_type, all_classes=tide, area=areas)
        evaluations = {protocol: evaluation.evaluate(found, protocol, instance_counts) for protocol in protocols}
        tide_result = evaluation.tide(found) if tide else None
    compared: list[Comparison] = []
    failures: list[str] = []
    with TemporaryDirectory(prefix="fasa-verify-") as folder:
        annotations, detections = official.plain_json(
            Path(annotations_path), Path(detections_path), Path(folder), truth
        )
        read = partial(official.result_entries, detections, str(detections_path), iou_type, areas, truth)
        with _noting(failures, detections_path):
            if truth.kind == "lvis":
                theirs = official.lvis_api(annotations, read, iou_type, protocols)
            else:
                theirs = {"standard": official.pycocotools(annotations, read, iou_type, _bins(instance_counts))}
            for protocol in protocols:
                compared += _compare(evaluations[protocol], theirs[protocol])
        if tide_result is not None:
            with _noting(failures, detections_path):
                complete = official.for_tidecv(annotations, detections, Path(folder), iou_type, truth)
                compared += _compare_tide(tide_result, official.tidecv(*complete, truth.kind, iou_type))
    if failures:
        raise ToolFailed(" ".join(failures), compared)
    return compared


@contextmanager
def _noting(failures: list[str], path: Path) -> Iterator[None]:
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # what the tools raise at unusual files is anything
        failures.append(f"{path} cannot be verified: an official tool failed ({type(error).__name__}: {error}).")


def check_tools(annotations_path: Path, truth: GroundTruth, tide: bool) -> None:
    """Raise a UserError, before anything slow is done, if a tool is missing or cannot read these annotations."""
    official.refuse_npz(Path(annotations_path))
    for module in _tools(truth, tide):
        if importlib.util.find_spec(module) is None:
            raise UserError(f"{module}, which --verify compares with, is not installed: {install_command('verify')}.")


def memory_warning(truth: GroundTruth, tide: bool) -> str | None:
    """A sentence if the official tools will need much memory; they run one after the other."""
    needs = {m: MEGABYTES.get(m, 0) * len(truth.image_ids) for m in _tools(truth, tide) if truth.kind == "lvis"}
    if max(needs.values(), default=0) < LARGE:
        return None
    described = " and ".join(f"{module} about {need / 1000:.0f} GB" for module, need in needs.items())
    return f"verifying {len(truth.image_ids):,} images takes {described} of memory, and minutes to an hour."


def _tools(truth: GroundTruth, tide: bool) -> list[str]:
    return ["lvis" if truth.kind == "lvis" else "pycocotools", *(["tidecv"] if tide else [])]


def _bins(instance_counts: np.ndarray | None) -> list[tuple[str, np.ndarray]]:
    if instance_counts is None:
        return []
    return [(name, (instance_counts >= low) & (instance_counts < high)) for name, low, high in BINS]


def _compare(ours: Evaluation, theirs: official.Official) -> list[Comparison]:
    compared = [
        Comparison(f"{ours.protocol} {name}", ours.summary[name], value, theirs.tool)
        for name, value in theirs.summary.items()
    ]
    for name, table in (("precision", theirs.precision), ("recall", theirs.recall)):
        if table is not None:
            gap = float(np.abs(getattr(ours, name) - table).max())
            metric = f"{ours.protocol} {name}, widest gap of {table.size:,} cells"
            compared.append(Comparison(metric, gap, 0.0, theirs.tool))
    return compared


def _compare_tide(ours: Tide, theirs: official.Official) -> list[Comparison]:
    flat = {
        "AP": ours.ap,
        "AP over classes with truth": ours.ap_gt_classes,
        **ours.errors,
        **ours.special,
        **{f"{name} over classes with truth": points for name, points in ours.errors_gt_classes.items()},
        **{f"{name} over classes with truth": points for name, points in ours.special_gt_classes.items()},
        **{f"{name} count": count for name, count in ours.counts.items()},
        "classes": ours.classes,
        "classes with truth": ours.classes_with_truth,
    }
    return [
        Comparison(f"TIDE {name}", value, theirs.summary[name], theirs.tool, TIDE_TOLERANCE)
        for name, value in flat.items()
    ]
