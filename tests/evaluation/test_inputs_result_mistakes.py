"""Every mistake in a results file is one sentence that names the file, the entry and the field."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evaluation_toys import coco_document, lvis_document, random_rle, refused

from fasa.errors import UserError
from fasa.evaluation import load_detections, open_detections

RLE = random_rle(np.random.default_rng(0), (9, 8))
ENTRY = {"image_id": 1, "category_id": 2, "score": 0.5, "bbox": [1, 2, 3, 4], "segmentation": RLE}
NAN, INFINITY = float("nan"), float("inf")
MISSING = object()


def mask(**changes: Any) -> dict[str, Any]:
    return {key: value for key, value in {**RLE, **changes}.items() if value is not MISSING}


MISTAKES = [
    ("image_id", MISSING, "add it"),
    ("image_id", "7", "whole number"),
    ("image_id", 7.5, "whole number"),
    ("image_id", True, "whole number"),
    ("image_id", None, "whole number"),
    ("image_id", NAN, "whole number"),
    ("image_id", INFINITY, "whole number"),
    ("image_id", 2**63, "whole number"),
    ("image_id", 1e300, "whole number"),
    ("image_id", [1], "whole number"),
    ("category_id", MISSING, "add it"),
    ("category_id", "cat", "whole number"),
    ("category_id", -(2**64), "whole number"),
    ("score", MISSING, "add it"),
    ("score", "0.5", "finite number"),
    ("score", None, "finite number"),
    ("score", True, "finite number"),
    ("score", NAN, "finite number"),
    ("score", INFINITY, "finite number"),
    ("score", -INFINITY, "finite number"),
    ("score", 10**400, "finite number"),
    ("score", [0.5], "finite number"),
    ("bbox", None, "four finite numbers"),
    ("bbox", "1 2 3 4", "four finite numbers"),
    ("bbox", [1, 2, 3], "four finite numbers"),
    ("bbox", [1, 2, 3, 4, 5], "four finite numbers"),
    ("bbox", [1, 2, 3, "4"], "four finite numbers"),
    ("bbox", [1, 2, 3, NAN], "four finite numbers"),
    ("bbox", [NAN] * 4, "four finite numbers"),
    ("bbox", [1, 2, INFINITY, 4], "four finite numbers"),
    ("bbox", [1, 2, -3, 4], "four finite numbers"),
    ("bbox", [1, 2, 3, -0.5], "four finite numbers"),
    ("bbox", [1, 2, 3, True], "four finite numbers"),
    ("bbox", {"x": 1}, "four finite numbers"),
    ("segmentation", None, "RLE"),
    ("segmentation", [[1, 2, 3, 4, 5, 6]], "RLE"),
    ("segmentation", [], "RLE"),
    ("segmentation", "mask", "RLE"),
    ("segmentation", {}, "size"),
    ("segmentation", mask(size=MISSING), '"size"'),
    ("segmentation", mask(counts=MISSING), '"counts"'),
    ("segmentation", mask(size=[9]), '"size"'),
    ("segmentation", mask(size=[9, 8, 1]), '"size"'),
    ("segmentation", mask(size=9), '"size"'),
    ("segmentation", mask(size="9 8"), '"size"'),
    ("segmentation", mask(size=[0, 0]), '"size"'),
    ("segmentation", mask(size=[9, 0]), '"size"'),
    ("segmentation", mask(size=[-9, -8]), '"size"'),
    ("segmentation", mask(size=[9.5, 8]), '"size"'),
    ("segmentation", mask(size=["9", 8]), '"size"'),
    ("segmentation", mask(size=[2**31, 8]), '"size"'),
    ("segmentation", mask(size=[8, 8]), "height x width"),
    ("segmentation", mask(counts=None), '"counts"'),
    ("segmentation", mask(counts=5), '"counts"'),
    ("segmentation", mask(counts=""), "height x width"),
    ("segmentation", mask(counts=RLE["counts"][:-1]), "height x width"),
    ("segmentation", mask(counts=RLE["counts"] + "1"), "height x width"),
    ("segmentation", mask(counts="P"), "ends in the middle of a run"),
    ("segmentation", mask(counts="O"), "negative length"),
    ("segmentation", mask(counts="!" + RLE["counts"]), "a character that no compressed RLE has"),
    ("segmentation", mask(counts=RLE["counts"] + "é"), "a character that no compressed RLE has"),
    ("segmentation", mask(counts=RLE["counts"] + "\ud800"), "a character that no compressed RLE has"),
    ("segmentation", mask(counts=[72, -1, 1]), '"counts"'),
    ("segmentation", mask(counts=[72.5]), '"counts"'),
    ("segmentation", mask(counts=["72"]), '"counts"'),
    ("segmentation", mask(counts=[[72]]), '"counts"'),
    ("segmentation", mask(counts=[71]), "height x width"),
    ("segmentation", mask(counts=[2**32 + 72]), '"counts"'),
    ("segmentation", mask(counts=[]), "height x width"),
]


@pytest.mark.parametrize("as_file", [True, False], ids=["file", "list"])
@pytest.mark.parametrize(("field", "value", "says"), MISTAKES, ids=range(len(MISTAKES)))
def test_a_faulty_field_is_named_with_its_entry(tmp_path: Path, field: str, value: Any, says: str, as_file: bool):
    entry = {key: v for key, v in {**ENTRY, field: value}.items() if v is not MISSING}
    entries = [ENTRY] * 17 + [entry, {**ENTRY, "score": "a later mistake"}]
    if as_file:
        path = tmp_path / "results.json"
        path.write_text(json.dumps(entries))
    sentence = refused(load_detections, path if as_file else entries)
    assert sentence.startswith(f"{path if as_file else 'detections'}: detection 17")
    assert f'"{field}"' in sentence and says in sentence


def test_a_later_chunk_counts_its_entries_on(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("fasa.evaluation.io.detections.CHUNK_BYTES", 2000)
    path = tmp_path / "results.json"
    broken = {**ENTRY, "segmentation": mask(counts="!")}
    path.write_text(json.dumps([ENTRY] * 3000 + [broken] + [ENTRY] * 50))
    assert "detection 3000:" in refused(load_detections, path)


@pytest.mark.parametrize("value", [7, None, "text", [1, 2]])
def test_an_entry_that_is_no_object_is_named(tmp_path: Path, value: Any):
    path = tmp_path / "results.json"
    path.write_text(json.dumps([ENTRY, value]))
    assert refused(load_detections, path).startswith(f"{path}: detection 1 is ")
    assert refused(load_detections, [ENTRY, value]).startswith("detections: detection 1 is ")


def test_an_entry_without_box_and_mask_is_named(tmp_path: Path):
    path = tmp_path / "results.json"
    path.write_text(json.dumps([ENTRY, {"image_id": 1, "category_id": 1, "score": 1, "keypoints": []}]))
    assert 'detection 1 has neither a "segmentation" nor a "bbox"' in refused(load_detections, path)


GOOD = json.dumps(ENTRY).encode()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        (b"\xef\xbb", "no JSON list"),
        (b"image_id,score\n1,2\n", "no JSON list"),
        (b"7", "no JSON list"),
        (b'{"predictions": []}', "an object where a list"),
        (b"\x80\x04\x95pickle", "no JSON list"),
        (b"[" + GOOD + b"," + GOOD, "breaks off at detection 1"),
        (b"[" + GOOD + b"," + GOOD + b"\n", "breaks off at detection 1"),
        (b"[" + GOOD + b",", "breaks off at detection 1"),
        (b"[" + GOOD + b"," + GOOD[:-1] + b"]", "no JSON at detection 1"),
        (b"[" + GOOD + b",]", "no JSON at detection 1"),
        (b"[,]", "no JSON at detection 0"),
        (b"[" + GOOD + GOOD + b"]", "neither a comma nor the list's end"),
        (b"[" + GOOD + b"] [" + GOOD + b"]", "goes on after"),
        (b"[" + GOOD + b"]\n\0", "goes on after"),
        (b"[] []", "goes on after"),
        (b"[" + GOOD.replace(b'"score": 0.5', b'"score": .5') + b"]", "no JSON at detection 0"),
        (b"[" + GOOD.replace(b'"score": 0.5', b'"score": 0.5.5') + b"," + GOOD * 3, "no JSON at detection 0"),
        (b"[" + GOOD.replace(b'"score"', b"'score'") + b"]", "no JSON at detection 0"),
        (b"[" + GOOD.replace(b'"counts": "', b'"counts": "\n') + b"]", "no JSON at detection 0"),
        (b"[" + GOOD.replace(b'"counts": "', b'"counts": "\xff') + b"]", "not UTF-8"),
        (b"[" + GOOD + b"," + b"[" * 100_000 + b"]", "cannot be read at detection 1"),
        (b"[" + GOOD + b',{"x":' + b"9" * 5000 + b"}]", "cannot be read at detection 1"),
    ],
)
def test_a_file_that_is_no_list_of_detections_is_refused(tmp_path: Path, content: bytes, says: str):
    path = tmp_path / "results.json"
    path.write_bytes(content)
    sentence = refused(load_detections, path)
    assert sentence.startswith(str(path)) and says in sentence, sentence


@pytest.mark.parametrize("document", [lvis_document(), coco_document()])
def test_annotations_in_place_of_results_are_told_apart(tmp_path: Path, document: dict):
    path = tmp_path / "annotations.json"
    path.write_text(json.dumps({"info": {"x": "y" * 70_000}, **document}))
    assert "looks like annotations" in refused(load_detections, path)


def test_a_file_that_cannot_be_opened_is_refused(tmp_path: Path):
    assert "does not exist" in refused(open_detections, tmp_path / "nothing.json")
    assert "is a folder" in refused(open_detections, str(tmp_path))
    assert "is a folder" in refused(open_detections, "")  # Path("") is the current one
    path = tmp_path / "locked.json"
    path.write_text("[]")
    path.chmod(0)
    if not os.access(path, os.R_OK):  # root may read everything
        assert "cannot be read" in refused(open_detections, path)
    with pytest.raises(UserError, match="give one of those"):
        open_detections(7)
