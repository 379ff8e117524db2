"""Real annotations and results are read as the official tools read them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from evaluation_toys import expected_columns, same_columns
from pycocotools import mask as coco
from pycocotools.coco import COCO

from fasa.evaluation import load_detections, load_ground_truth


@pytest.fixture
def data(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setenv("FASA_CACHE", str(tmp_path / "cache"))
    if "FASA_TEST_DATA" not in os.environ:
        pytest.skip("FASA_TEST_DATA names no folder with real annotations")
    return Path(os.environ["FASA_TEST_DATA"])


def existing(path: Path) -> Path:
    if not path.exists():
        pytest.skip(f"FASA_TEST_DATA has no {path.name}")
    return path


@pytest.mark.parametrize(
    ("name", "kind", "facts"),
    [
        ("lvis/lvis_val_100.json", "lvis", (100, 1230, 977, 0)),
        ("coco_mini/instances_train.json", "coco", (80, 80, 739, 8)),
        ("coco_eval/instances_val2014_100.json", "coco", (100, 80, 839, 9)),
    ],
)
def test_real_annotations_are_read_exactly(data: Path, name: str, kind: str, facts: tuple[int, ...]):
    path = existing(data / name)
    api = COCO(str(path))
    for _ in range(2):  # parsed, then from the cache
        truth = load_ground_truth(path)
        assert truth.kind == kind and not truth.notes
        assert (len(truth.image_ids), len(truth.category_ids), len(truth.ids), int(truth.crowd.sum())) == facts
        for g, id in enumerate(truth.ids.tolist()):
            entry = api.anns[id]
            rle = api.annToRLE(entry)
            runs = truth.runs[truth.run_start[g] : truth.run_start[g + 1]]
            again = coco.frPyObjects({"size": rle["size"], "counts": runs.tolist()}, *rle["size"])
            expected = rle["counts"] if isinstance(rle["counts"], bytes) else rle["counts"].encode()
            assert again["counts"] == expected
            assert truth.mask_area[g] == coco.area(rle)
            assert truth.tight[g].tolist() == coco.toBbox(rle).tolist()
            assert truth.box[g].tolist() == entry["bbox"] and truth.area[g] == entry["area"]
            assert truth.image_ids[truth.image[g]] == entry["image_id"]
            assert truth.category_ids[truth.category[g]] == entry["category_id"]
            assert api.dataset["annotations"][truth.position[g]] is entry


@pytest.mark.parametrize("name", ["fakesegm100", "fakebbox100"])
def test_real_results_are_read_exactly(data: Path, name: str):
    path = existing(data / f"coco_eval/instances_val2014_{name}_results.json")
    found = load_detections(path)
    assert len(found) == 734
    same_columns(found, expected_columns(json.loads(path.read_text())))
    assert np.isfinite(found.score).all()
