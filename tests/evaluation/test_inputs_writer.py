"""The writer of detections: what was added is read, to the JSON and back; a failure leaves no file."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from evaluation_toys import (
    COLUMNS,
    coco_document,
    expected_columns,
    lvis_document,
    random_results,
    refused,
    same_columns,
)
from pycocotools import mask as coco

from fasa.evaluation import DetectionWriter, load_detections, load_ground_truth, save_detections
from fasa.evaluation.io.writer import write_results_json


@pytest.mark.parametrize("seed", range(12))
def test_entries_survive_every_way_between_files(tmp_path: Path, seed: int):
    rng = np.random.default_rng(seed)
    entries = random_results(rng, 30, rng.choice([0, 0.5, 1]), rng.choice([0, 0.5, 1]))
    source, columns, back = tmp_path / "a.json", tmp_path / "b.npz", tmp_path / "c.json"
    source.write_text(json.dumps(entries))
    save_detections(source, columns)
    same_columns(load_detections(columns), expected_columns(entries))
    write_results_json(columns, back)
    assert json.loads(back.read_text()) == entries
    write_results_json(entries, back)
    assert json.loads(back.read_text()) == entries
    save_detections(back, tmp_path / "d.npz")
    assert (tmp_path / "d.npz").read_bytes() == columns.read_bytes()


def test_no_detections_make_an_empty_list(tmp_path: Path):
    write_results_json([], tmp_path / "none.json")
    assert json.loads((tmp_path / "none.json").read_text()) == []


def dense(rng: np.random.Generator, k: int, size: tuple[int, int] = (10, 12)) -> np.ndarray:
    return rng.random((k, *size)) < 0.5


def test_images_are_added_with_masks_in_both_forms(tmp_path: Path):
    rng = np.random.default_rng(0)
    entries = []
    path = tmp_path / "detections.npz"
    with DetectionWriter(path) as writer:
        for image in range(20):
            k = int(rng.integers(0, 5))
            classes, scores, boxes = rng.integers(1, 9, k), rng.random(k).astype(np.float32), rng.random((k, 4)) * 9
            masks = dense(rng, k)
            rles = [coco.encode(np.asfortranarray(mask.astype(np.uint8))) for mask in masks]
            with_boxes = image % 3 == 0
            given = (masks, rles, [{**r, "counts": r["counts"].decode()} for r in rles], list(masks))[image % 4]
            writer.add(image, classes.tolist() if image % 2 else classes, scores, boxes if with_boxes else None, given)
            for i in range(k):
                entry = {"image_id": image, "category_id": int(classes[i]), "score": float(scores[i])}
                entry["segmentation"] = {"size": [10, 12], "counts": rles[i]["counts"].decode()}
                entries.append(entry | ({"bbox": boxes[i].tolist()} if with_boxes else {}))
    found = load_detections(path)
    same_columns(found, expected_columns(entries))
    assert found.policy == "all"
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_boxes_alone_and_nothing_at_all(tmp_path: Path):
    with DetectionWriter(tmp_path / "boxes.npz") as writer:
        writer.add(3, [1, 2], [0.5, 1], boxes=[[1, 2, 3, 4], [5, 6, 7, 8]])
        writer.add(4, [], [], boxes=[], masks=[])
        writer.add(5, [], [])
    found = load_detections(tmp_path / "boxes.npz")
    assert found.box.tolist() == [[1, 2, 3, 4], [5, 6, 7, 8]] and found.size is None
    with DetectionWriter(tmp_path / "none.npz"):
        pass
    same_columns(load_detections(tmp_path / "none.npz"), load_detections([]))


def test_masks_of_classes_nobody_judges_are_left_out(tmp_path: Path):
    truth = load_ground_truth(lvis_document())
    path = tmp_path / "detections.npz"
    masks = dense(np.random.default_rng(1), 5)
    classes = [1, 3, 5, 7, 98]  # image 30: 1 and 3 annotated, 5 negative; image 20: 1 negative
    with DetectionWriter(path, truth, policy="verified") as writer:
        assert writer.judged(30, classes).tolist() == [True, True, True, False, False]
        assert writer.judged(20, classes).tolist() == [True, False, False, False, False]
        writer.add(30, classes, np.arange(5) / 10, masks=masks)
        (small,) = dense(np.random.default_rng(2), 1, (8, 9))
        smaller = coco.encode(np.asfortranarray(small.astype(np.uint8)))
        writer.add(20, classes, np.arange(5) / 10, masks=[smaller, None, None, None, None])
        writer.add(10, [5], [0.5], masks=np.zeros((1, 10, 12), bool))
    found = load_detections(path)
    assert found.policy == "verified" and len(found) == 11
    assert (found.mask_area >= 0).tolist() == [True] * 3 + [False] * 2 + [True] + [False] * 5
    assert found.mask_area[:3].tolist() == masks[:3].sum(axis=(1, 2)).tolist()
    assert "policy 'all'" in refused(write_results_json, path, tmp_path / "x.json")
    save_detections(path, tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == path.read_bytes()
    save_detections(load_detections(path), tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("policy", ["all", "verified"])
def test_what_does_not_fit_the_annotations_is_refused_at_once(tmp_path: Path, policy: str):
    path = tmp_path / "x.npz"
    writer = DetectionWriter(path, load_ground_truth(lvis_document()), policy)
    assert "image_id 77 is not in annotations" in refused(writer.add, 77, [1], [0.5], [[1, 2, 3, 4]])
    assert "image_id 77 is not in annotations" in refused(writer.add, 77, [], [])
    for masks in (dense(np.random.default_rng(0), 1, (12, 10)), [{"size": [12, 10], "counts": [120]}]):
        sentence = refused(writer.add, 30, [1], [0.5], None, masks)
        assert "image 30 have a mask of size [12, 10], but the image is [10, 12] in the annotations" in sentence
    writer.add(30, [1], [0.5], None, dense(np.random.default_rng(0), 1))
    writer.close()
    assert len(load_detections(path)) == 1


def test_coco_judges_every_class_it_knows(tmp_path: Path):
    with DetectionWriter(tmp_path / "x.npz", load_ground_truth(coco_document()), "verified") as writer:
        assert writer.judged(30, [1, 3, 5, 7]).tolist() == [True, True, True, False]


RLE = {"size": [2, 2], "counts": "04"}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((1, [1], [0.5]), "neither"),
        ((1, [1], [0.5, 0.5], [[1, 2, 3, 4]]), "do not fit together"),
        ((1, [[1]], [0.5], [[1, 2, 3, 4]]), "do not fit together"),
        ((1, [1], 0.5, [[1, 2, 3, 4]]), "do not fit together"),
        ((1, [1.0], [0.5], [[1, 2, 3, 4]]), "do not fit together"),
        ((1, [1], ["0.5"], [[1, 2, 3, 4]]), "do not fit together"),
        ((1, [1], [0.5], [1, 2, 3, 4]), "do not fit together"),
        ((1, [1], [0.5], [[1, 2, 3]]), "do not fit together"),
        ((1, [1], [0.5], None, []), "do not fit together"),
        ((1, [1], [0.5], None, [RLE, RLE]), "do not fit together"),
        ((1.5, [1], [0.5], [[1, 2, 3, 4]]), "image_id"),
        (("1", [1], [0.5], [[1, 2, 3, 4]]), "image_id"),
        ((1, [1], [np.nan], [[1, 2, 3, 4]]), '"score"'),
        ((1, [1], [0.5], [[1, 2, np.nan, 4]]), '"bbox"'),
        ((1, [1], [0.5], [[1, 2, -3, 4]]), '"bbox"'),
        ((1, [1], [0.5], None, [None]), "mask 0"),
        ((1, [1], [0.5], None, ["04"]), "mask 0"),
        ((1, [1], [0.5], None, [{"size": [2, 2]}]), "mask 0"),
        ((1, [1], [0.5], None, [{**RLE, "counts": "05"}]), "height x width"),
        ((1, [1], [0.5], None, np.zeros((1, 2, 2))), "give bool (k, height, width)"),
        ((1, [1], [0.5], None, np.zeros((1, 4), bool)), "give bool (k, height, width)"),
        ((1, [1], [0.5], None, np.zeros((1, 0, 4), bool)), "give bool (k, height, width)"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_written(tmp_path: Path, arguments: tuple, says: str):
    path = tmp_path / "detections.npz"

    def write() -> None:
        with DetectionWriter(path) as writer:
            writer.add(7, [1], [0.25], masks=[RLE])
            writer.add(*arguments)

    sentence = refused(write)
    assert sentence.startswith(str(path)) and says in sentence, sentence
    assert not list(tmp_path.iterdir())


def test_the_writers_own_mistakes_are_refused(tmp_path: Path):
    assert "policy" in refused(DetectionWriter, tmp_path / "x.npz", None, "some")
    assert "annotations" in refused(DetectionWriter, tmp_path / "x.npz", None, "verified")
    writer = DetectionWriter(tmp_path / "x.npz", load_ground_truth(lvis_document()), "verified")
    assert "image_id 77" in refused(writer.add, 77, [1], [0.5], None, [RLE])
    assert "image_id 31" in refused(writer.judged, 31, [1])
    writer.close()
    writer.close()
    assert "is closed" in refused(writer.add, 30, [1], [0.5])
    (tmp_path / "file").write_text("")
    assert "cannot be written" in refused(DetectionWriter, tmp_path / "file" / "x.npz")


def test_a_failure_leaves_the_older_file(tmp_path: Path):
    path = tmp_path / "detections.npz"
    path.write_bytes(b"older")
    with pytest.raises(KeyError), DetectionWriter(path) as writer:
        writer.add(1, [1], [0.5], masks=[RLE])
        raise KeyError
    assert path.read_bytes() == b"older" and len(list(tmp_path.iterdir())) == 1


def test_a_kill_leaves_nothing(tmp_path: Path):
    code = f"""
import os, signal
from fasa.evaluation import DetectionWriter
writer = DetectionWriter({str(tmp_path / "detections.npz")!r})
for image in range(2000):
    writer.add(image, [1] * 50, [0.5] * 50, boxes=[[1, 2, 3, 4]] * 50)
os.kill(os.getpid(), signal.SIGKILL)
"""
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, env={**os.environ, "PYTHONPATH": str(root)})
    assert done.returncode == -signal.SIGKILL
    assert not list(tmp_path.iterdir())


def test_memory_stays_bounded(tmp_path: Path):
    rles = [
        coco.encode(np.asfortranarray(mask.astype(np.uint8))) for mask in dense(np.random.default_rng(2), 100, (40, 40))
    ]
    scores, classes = np.full(100, 0.5), np.full(100, 3)
    path = tmp_path / "detections.npz"
    with DetectionWriter(path) as writer:
        writer.add(0, classes, scores, masks=rles)
        tracemalloc.start()
        for image in range(1, 300):
            writer.add(image, classes, scores, masks=rles)
        writer.close()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert path.stat().st_size > 15e6
    assert peak < 10e6
    assert len(load_detections(path)) == 30_000
    assert {key: getattr(load_detections(path), key) is None for key in COLUMNS}["box"]
