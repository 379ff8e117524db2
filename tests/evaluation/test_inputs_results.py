"""The results JSON in all its spellings gives the same columns, however it is cut into pieces."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from evaluation_toys import expected_columns, random_results, random_rle, refused, same_columns, spelled
from pycocotools import mask as coco

from fasa.evaluation import load_detections, open_detections
from fasa.evaluation.io import detections as detections_module
from fasa.evaluation.io import results_json
from fasa.evaluation.io.files import ByteStream
from fasa.evaluation.io.result_columns import RawDetections


@pytest.mark.parametrize("way", ["as it comes", "msgspec", "the careful way"])
@pytest.mark.parametrize("seed", range(60))
def test_every_spelling_and_every_cut_gives_the_same_columns(tmp_path: Path, monkeypatch, seed: int, way: str):
    rng = np.random.default_rng(seed)
    entries = random_results(
        rng, int(rng.integers(1, 25)), boxes=rng.choice([0, 0.5, 1]), masks=rng.choice([0, 0.5, 1])
    )
    path = tmp_path / "results.json"
    content = spelled(rng, entries).encode()
    path.write_bytes(gzip.compress(content) if seed % 3 == 0 else content)
    piece = int(rng.choice([1, 2, 3, 7, 50, 200, 1000, 1 << 18]))
    monkeypatch.setattr(
        detections_module,
        "read_results",
        lambda stream, name, enough, masks: results_json.read_results(stream, name, piece, enough, masks),
    )
    if way == "msgspec":
        monkeypatch.setattr(results_json._Reader, "_quick", results_json._Reader._typed)
    elif way == "the careful way":
        monkeypatch.setattr(results_json._Reader, "_quick", lambda self: None)
    monkeypatch.setattr(detections_module, "CHUNK_BYTES", int(rng.choice([1, 1000, 1 << 20])))
    same_columns(load_detections(path), expected_columns(entries))
    source = open_detections(path)
    for _ in range(2):  # a source may be read again
        first = 0
        for chunk in source.chunks():
            assert (chunk.first, chunk.name) == (first, str(path)) and len(chunk)
            first += len(chunk)
        assert first == len(entries)
        assert source.done_bytes == source.total_bytes == path.stat().st_size


def test_the_quick_way_is_taken_for_the_usual_file(tmp_path: Path, monkeypatch):
    path = tmp_path / "results.json"
    entries = random_results(np.random.default_rng(0), 300)
    path.write_text(json.dumps(entries))
    monkeypatch.setattr(results_json._Reader, "_careful", lambda self: pytest.fail("the careful way"))
    with ByteStream(path) as stream:
        parts = list(results_json.read_results(stream, "results", 2000, 2000))
    assert len(parts) > 10
    assert len(RawDetections.join(parts)) == 300


def test_a_list_of_entries_is_read_as_its_file_is(tmp_path: Path):
    entries = random_results(np.random.default_rng(1), 40)
    found = load_detections(entries)
    same_columns(found, expected_columns(entries))
    assert found.name == "detections"
    for entry in entries:  # as pycocotools and numpy give them
        entry["score"] = np.float32(entry["score"])
        entry["image_id"] = np.int64(entry["image_id"])
        if "segmentation" in entry:
            entry["segmentation"]["counts"] = entry["segmentation"]["counts"].encode()
        if "bbox" in entry:
            entry["bbox"] = np.array(entry["bbox"])
    again = load_detections(entries)
    assert again.score.tolist() == np.float32(found.score).tolist()
    assert again.counts.tobytes() == found.counts.tobytes()


@pytest.mark.parametrize("content", ["[]", " [ ] \n", "\ufeff[]\n", "[\n\n]"])
def test_no_detections_are_fine(tmp_path: Path, content: str):
    path = tmp_path / "results.json"
    path.write_text(content, encoding="utf-8")
    found = load_detections(path)
    assert len(found) == 0 and found.box is None and found.counts is None
    assert found.image_id.dtype == np.int64
    assert list(open_detections(path).chunks()) == []
    assert len(load_detections([])) == 0


ENTRY = {"image_id": 1, "category_id": 2, "score": 0.5, "bbox": [1, 2, 3, 4]}


@pytest.mark.parametrize(
    ("change", "column", "value"),
    [
        ({"image_id": 3.0}, "image_id", [1, 3, 1]),
        ({"image_id": 1e2}, "image_id", [1, 100, 1]),
        ({"image_id": float(2**60)}, "image_id", [1, 2**60, 1]),
        ({"score": 1}, "score", [0.5, 1.0, 0.5]),
        ({"score": 10**30}, "score", [0.5, 1e30, 0.5]),
        ({"score": -2.5e-7}, "score", [0.5, -2.5e-7, 0.5]),
        ({"extra": float("nan")}, "score", [0.5] * 3),
        ({"extra": 10**400}, "score", [0.5] * 3),
    ],
)
def test_what_pythons_json_and_the_official_tools_take_is_taken(tmp_path: Path, change, column, value):
    path = tmp_path / "results.json"
    path.write_text(json.dumps([ENTRY, {**ENTRY, **change}, ENTRY]))
    assert getattr(load_detections(path), column).tolist() == value


def test_an_empty_box_of_mask_results_is_none(tmp_path: Path):
    mask = random_rle(np.random.default_rng(0), (5, 6))
    path = tmp_path / "results.json"
    path.write_text(json.dumps([{**ENTRY, "bbox": [], "segmentation": mask}]))
    assert load_detections(path).box is None


def test_uncompressed_masks_are_compressed(tmp_path: Path):
    entries = [{**ENTRY, "segmentation": {"size": [4, 5], "counts": [3, 2, 15]}}, ENTRY]
    path = tmp_path / "results.json"
    path.write_text(json.dumps(entries))
    found = load_detections(path)
    assert found.mask_area.tolist() == [2, -1]
    assert found.tight.tolist() == [[0, 0, 2, 4], [0, 0, 0, 0]]
    assert found.counts.tobytes() == coco.frPyObjects(entries[0]["segmentation"], 4, 5)["counts"]


def test_chunks_of_a_list_and_of_columns_are_numbered(monkeypatch):
    monkeypatch.setattr(detections_module, "CHUNK_ROWS", 7)
    entries = random_results(np.random.default_rng(2), 30)
    whole = load_detections(entries)
    same_columns(whole, expected_columns(entries))
    for source in (open_detections(entries), open_detections(whole)):
        chunks = list(source.chunks())
        assert [chunk.first for chunk in chunks] == [0, 7, 14, 21, 28]
        assert source.done_bytes == source.total_bytes
        same_columns(chunks[-1], expected_columns(entries[28:]))


@pytest.mark.parametrize("escaped", ["\0", "x", "u12"])
def test_what_is_no_escape_is_refused_in_a_skipped_string(tmp_path: Path, escaped: str):
    path = tmp_path / "results.json"
    path.write_bytes(json.dumps([ENTRY]).replace("{", '{"extra": "a\\' + escaped + 'b", ').encode())
    assert "escape" in refused(load_detections, path)


def test_a_file_cut_anywhere_is_refused(tmp_path: Path):
    content = json.dumps(random_results(np.random.default_rng(3), 4)).encode()
    path = tmp_path / "results.json"
    for size in range(len(content)):
        path.write_bytes(content[:size])
        sentence = refused(load_detections, path)
        assert sentence.startswith(str(path))
        assert "breaks off" in sentence or size == 0
    for packed in (gzip.compress(content, mtime=0), gzip.compress(b"[]", mtime=0)):
        for size in range(len(packed)):
            path.write_bytes(packed[:size])
            assert refused(load_detections, path).startswith(str(path))


def test_a_gzip_file_with_a_flipped_bit_is_refused_or_the_same(tmp_path: Path):
    entries = random_results(np.random.default_rng(4), 3)
    content = gzip.compress(json.dumps(entries).encode(), mtime=0)
    path = tmp_path / "results.json.gz"
    for at in range(len(content)):
        path.write_bytes(content[:at] + bytes([content[at] ^ (1 << at % 8)]) + content[at + 1 :])
        try:
            found = load_detections(path)
        except detections_module.UserError as error:
            assert str(error).startswith(str(path))
        else:  # the header's time of day and the like
            same_columns(found, expected_columns(entries))
