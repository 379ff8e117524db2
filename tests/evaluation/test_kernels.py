"""The compiled extension and numba do the same, to the last bit; either is found where the other cannot be."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cases import coco_problem, lvis_problem
from pycocotools import mask as coco

from fasa.errors import UserError
from fasa.evaluation import bootstrap, evaluate, load_ground_truth, overlaps, portable, tide
from fasa.evaluation.geometry import rle
from fasa.evaluation.metrics.lrp import optimal_lrp
from fasa.evaluation.metrics.matching import match

ROOT = Path(__file__).parents[2]
USERS = (
    "geometry.boundary",
    "geometry.overlaps",
    "geometry.rle",
    "metrics.average_precision",
    "metrics.lrp",
    "metrics.matching",
    "metrics.resampling",
    "metrics.tide",
    "metrics.tide_matching",
)


class Both:
    """Every kernel run twice, by the extension and by numba; what they return and what they fill is compared."""

    def __init__(self, native: Any) -> None:
        self.native, self.calls = native, Counter[str]()

    def __getattr__(self, name: str) -> Any:
        def run(*arguments: Any) -> Any:
            others = [a.copy() if isinstance(a, np.ndarray) else a for a in arguments]
            ours, theirs = getattr(self.native, name)(*arguments), getattr(portable, name)(*others)
            for own, other in zip((*arguments, *_many(ours)), (*others, *_many(theirs)), strict=True):
                assert type(own) is type(other) or np.isscalar(own)
                assert np.array_equal(own, other, equal_nan=getattr(own, "dtype", np.dtype(bool)).kind == "f"), name
            self.calls[name] += 1
            return ours

        return run


def _many(result: Any) -> tuple[Any, ...]:
    return result if isinstance(result, tuple) else () if result is None else (result,)


@pytest.fixture
def both(monkeypatch) -> Both:
    native = pytest.importorskip("fasa.evaluation._native", reason="the extension is not built: no C++ compiler")
    compared = Both(native)
    for module in USERS:
        monkeypatch.setattr(import_module(f"fasa.evaluation.{module}"), "kernels", compared)
    return compared


@pytest.mark.parametrize("iou_type", ["segm", "bbox"])
@pytest.mark.parametrize("problem", [lvis_problem, coco_problem])
def test_both_do_the_same(both: Both, problem: Any, iou_type: str):
    for seed in range(25):
        annotations, results = problem(seed, iou_type)
        found = overlaps(load_ground_truth(annotations), results, iou_type, all_classes=True)
        evaluate(overlaps(found.ground_truth, results, iou_type))
        evaluate(found)
        tide(found)
        optimal_lrp(match(found, "standard"))
        bootstrap([found], samples=9, seed=seed)
        if iou_type == "segm":
            overlaps(found.ground_truth, results, "boundary")
    pairs = "mask_pairs" if iou_type == "segm" else "box_pairs"
    names = [pairs, "locate", "match", "accumulate", "tide_match", "tide_explain", "tide_curves", "measure_masks"]
    names += ["matched_iou", "optima", "draw_curves", "transposed"]
    names += ["truth_boundaries", "smaller_iou"] if iou_type == "segm" else []
    assert min(both.calls[name] for name in names) >= 25, both.calls


def test_both_encode_and_decode_the_same(both: Both):
    rng = np.random.default_rng(0)
    for _ in range(40):
        shape = tuple(rng.integers(1, 30, 2))
        strings = rle.encode(rng.random((5, *shape)) < rng.random())
        start = np.cumsum([0, *map(len, strings)])
        counts = np.frombuffer(bytearray(b"".join(strings)), np.uint8)
        rle.to_runs(counts, start)
        for _ in range(10):  # broken strings have the same faults
            counts[rng.integers(len(counts))] = rng.integers(256)
            rle.measure(counts, start, np.full((5, 2), shape, np.int32))
    assert both.calls["measure_masks"] == 400
    assert min(both.calls[name] for name in ("mask_runs", "run_text", "count_runs", "fill_runs")) >= 40


def test_polygons_are_drawn_as_pycocotools_draws_them():
    native = pytest.importorskip("fasa.evaluation._native", reason="the extension is not built: no C++ compiler")
    rng = np.random.default_rng(0)
    for _ in range(3000):
        height, width = (int(v) for v in rng.integers(1, 60, 2))
        polygons = []
        for _ in range(rng.integers(1, 4)):
            points = rng.uniform(-20, 80, 2 * rng.integers(3, 9))
            kind = rng.integers(4)  # any, on pixels, on tenths of one, a single point
            points = [points, points.round(), points.round(1), np.full(len(points), points[0])][kind]
            polygons.append(points.tolist())
        drawn = coco.frPyObjects(polygons, height, width)
        expected = drawn[0]["counts"] if len(drawn) == 1 else coco.merge(drawn)["counts"]
        assert native.draw_polygons(json.dumps(polygons).encode(), height, width) == expected


@pytest.mark.parametrize(
    "text",
    ["[]", "null", "[[1,2,3,4]]", "[[1,2,3,4,NaN,3]]", "[[1,2,3,4,5,1e7]]", '[[1,2,3,4,5,"6"]]', "[[1,2,3,4,5,6"],
)
def test_other_segmentations_are_left_to_python(text: str):
    native = pytest.importorskip("fasa.evaluation._native", reason="the extension is not built: no C++ compiler")
    assert native.draw_polygons(text.encode(), 5, 5) is None


def test_an_array_of_another_kind_is_refused_rather_than_converted():
    native = pytest.importorskip("fasa.evaluation._native", reason="the extension is not built: no C++ compiler")
    ids, rows = np.arange(3), np.zeros(3, np.int32)
    native.locate(ids, ids, rows)
    assert rows.tolist() == [0, 1, 2]
    frozen = rows.copy()
    frozen.flags.writeable = False
    for wrong in (rows.astype(np.int64), np.zeros(6, np.int32)[::2], frozen):
        with pytest.raises(TypeError, match="incompatible function arguments"):
            native.locate(ids, ids, wrong)


def test_an_extension_of_other_sources_is_refused(monkeypatch):
    native = pytest.importorskip("fasa.evaluation._native", reason="the extension is not built: no C++ compiler")
    loader = sys.modules["fasa.evaluation.kernels"]
    assert set(portable.__all__) <= set(dir(native))
    monkeypatch.setattr(native, "VERSION", loader.VERSION - 1)
    with pytest.raises(UserError, match="was built from other sources than these: install fasa anew"):
        loader._load()


EVERYTHING = """
import sys
from cases import lvis_problem
from fasa.evaluation import bootstrap, evaluate, load_ground_truth, localisation_recall_precision, overlaps, tide_errors
annotations, results = lvis_problem(3)
found = overlaps(load_ground_truth(annotations), results, "boundary")
evaluate(found), bootstrap([found], samples=2), tide_errors(annotations, results)
localisation_recall_precision(annotations, results)
sys.exit("numba" in sys.modules)
"""
SCORE = """
from fasa.evaluation import average_precision
from cases import lvis_problem
print(average_precision(*lvis_problem(3)))
"""


def score(**environment: str) -> str:
    """What ``SCORE`` prints in a process of its own."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests/evaluation")])
    done = subprocess.run(
        [sys.executable, "-c", SCORE],
        env=os.environ | {"PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_nothing_loads_numba_where_the_extension_is_built():
    pytest.importorskip("fasa.evaluation._native", reason="the extension is not built: no C++ compiler")
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests/evaluation")])
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", EVERYTHING], env=os.environ | {"PYTHONPATH": path}, capture_output=True
    )
    assert done.returncode == 0, done.stderr.decode()


def test_numba_needs_no_folder_for_its_cache_and_survives_a_damaged_one(tmp_path: Path):
    expected = score()
    portable = {"FASA_KERNELS": "portable", "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    assert score(**portable) == expected
    kept = list((tmp_path / "cache").rglob("*.nb?"))
    assert len(kept) > 10
    for path in kept:
        path.write_bytes(path.read_bytes()[:20])
    assert score(**portable) == expected
    assert score(**(portable | {"NUMBA_CACHE_DIR": "/dev/full/cache"})) == expected
