"""Our own files: what is written is what is read, without a copy, and whatever is damaged is refused."""

from __future__ import annotations

import io
import json
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from evaluation_toys import COLUMNS, lvis_document, random_results, refused, same_columns

from fasa.errors import UserError
from fasa.evaluation import load_detections, load_ground_truth, open_detections, save_detections, save_ground_truth
from fasa.evaluation.io.npz import Format, Member, read_npz, write_npz

FORM = Format("fasa-test", 3, "a test's file")


@pytest.fixture
def detections_file(tmp_path: Path) -> Path:
    save_detections(random_results(np.random.default_rng(0), 5), tmp_path / "detections.npz")
    return tmp_path / "detections.npz"


@pytest.fixture
def truth_file(tmp_path: Path) -> Path:
    save_ground_truth(load_ground_truth(lvis_document()), tmp_path / "truth.npz")
    return tmp_path / "truth.npz"


def write(path: Path, *, header: dict | None = None, **arrays: np.ndarray) -> None:
    write_npz(path, FORM, header or {}, {name: Member.of(array) for name, array in arrays.items()})


def test_columns_come_back_mapped_aligned_and_writable(tmp_path: Path):
    arrays = {
        "bytes": np.arange(7, dtype=np.uint8),
        "floats": np.arange(12.0).reshape(3, 4),
        "none": np.empty((0, 4), np.int32),
        "text": np.array(["a", ""], "<U1"),
        "flags": np.array([True, False]),
        "turned": np.arange(6).reshape(2, 3).T,
    }
    path = tmp_path / "columns.npz"
    write(path, header={"more": [1, "ü"]}, **arrays)
    header, found, _, sealed = read_npz(path, FORM)
    assert sealed
    assert header == {"format": "fasa-test", "version": 3, "columns": list(arrays), "more": [1, "ü"]}
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype
        assert type(found[name]) is np.ndarray
        flags = found[name].flags
        assert flags.aligned and flags.c_contiguous and flags.writeable  # kernels take no other
    assert not found["floats"].flags.owndata
    assert found["floats"].ctypes.data % 64 == 0 or found["floats"].ctypes.data % 8 == 0
    found["floats"][:] = -1  # private
    np.testing.assert_array_equal(read_npz(path, FORM)[1]["floats"], arrays["floats"])
    with np.load(path, allow_pickle=False) as archive:  # an ordinary .npz
        np.testing.assert_array_equal(archive["turned"], arrays["turned"])


def test_the_same_content_gives_the_same_bytes(tmp_path: Path):
    for name in "ab":
        write(tmp_path / name, x=np.arange(5))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_repacked_file_is_read_with_a_copy(tmp_path: Path):
    path, other = tmp_path / "a.npz", tmp_path / "b.npz"
    write(path, x=np.arange(5.0), y=np.arange(3))
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(other, "w", zipfile.ZIP_STORED) as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
    _, found, _, sealed = read_npz(other, FORM)
    assert not sealed
    assert found["x"].tolist() == [0, 1, 2, 3, 4] and found["x"].flags.aligned and found["y"].flags.aligned


def load_any(path: Path) -> object:
    return (load_ground_truth if path.name == "truth.npz" else load_detections)(path)


def contents(loaded: object) -> list[bytes | None]:
    """The arrays' bytes of either kind."""
    keys = COLUMNS if hasattr(loaded, "score") else ("image", "box", "runs", "verified", "digest", "notes", "kind")
    values = [getattr(loaded, key) for key in keys]
    return [value.tobytes() if isinstance(value, np.ndarray) else value for value in values]


@pytest.mark.parametrize("kind", ["detections_file", "truth_file"])
def test_a_file_cut_anywhere_is_refused(kind: str, request: pytest.FixtureRequest):
    path = request.getfixturevalue(kind)
    for size in reversed(range(0, path.stat().st_size, 1 if kind == "detections_file" else 7)):
        os.truncate(path, size)
        assert refused(load_any, path).startswith(str(path))


@pytest.mark.parametrize("kind", ["detections_file", "truth_file"])
def test_a_flipped_bit_is_refused_or_means_nothing(kind: str, request: pytest.FixtureRequest):
    path = request.getfixturevalue(kind)
    content = path.read_bytes()
    expected = contents(load_any(path))
    rng = np.random.default_rng(0)
    harmless = 0
    for at in range(0, len(content), 1 if kind == "detections_file" else 3):
        with path.open("r+b", buffering=0) as stream:
            stream.seek(at)
            stream.write(bytes([content[at] ^ (1 << int(rng.integers(8)))]))
        try:
            found = load_any(path)
        except UserError as error:
            assert str(error).startswith(str(path))
        else:  # padding, or a date of the zip
            harmless += 1
            assert contents(found) == expected
            del found
        with path.open("r+b", buffering=0) as stream:
            stream.seek(at)
            stream.write(content[at : at + 1])
    assert harmless < len(content) / 2


def repack(path: Path, **changes: bytes | None) -> None:
    """Change members of an .npz; their checksums are right."""
    with zipfile.ZipFile(path) as archive:
        members = {name.removesuffix(".npy"): archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, content in (members | changes).items():
            if content is not None:
                archive.writestr(f"{name}.npy", content)


def npy(array: np.ndarray, allow_pickle: bool = False) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=allow_pickle)
    return stream.getvalue()


def header(**changes: object) -> bytes:
    document = {"format": "fasa-detections", "version": 1, "columns": COLUMNS, "policy": "all", "rows": 5, **changes}
    return npy(np.frombuffer(json.dumps(document).encode(), np.uint8))


class Bomb:
    def __reduce__(self):
        return pytest.fail, ("unpickled",)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"header": None}, "not written by fasa"),
        ({"header": npy(np.frombuffer(b"{", np.uint8))}, "damaged"),
        ({"header": npy(np.frombuffer(b"[]", np.uint8))}, "damaged"),
        ({"header": npy(np.frombuffer(b"{}", np.uint8))}, "damaged"),
        ({"header": header(format="fasa-ground-truth")}, "kind 'fasa-ground-truth'"),
        ({"header": header(version=2)}, "update fasa"),
        ({"header": header(version=0)}, "write it again"),
        ({"header": header(version="new")}, "damaged"),
        ({"header": header(policy="some")}, "damaged"),
        ({"header": header(rows="5")}, "damaged"),
        ({"header": header(rows=6)}, "damaged"),
        ({"score": None}, "not those that its header lists"),
        ({"box": None}, "not those that its header lists"),
        ({"extra": npy(np.zeros(5))}, "not those that its header lists"),
        ({"header": header(columns=[*COLUMNS, "extra"]), "extra": npy(np.zeros(5, object), True)}, "damaged"),
        ({"header": header(columns=COLUMNS[1:]), "image_id": None}, "'image_id' is missing"),
        ({"header": header(columns=7)}, "damaged"),
        ({"score": npy(np.zeros(4))}, "'score' is missing or misshapen"),
        ({"score": npy(np.zeros(5, np.float32))}, "'score'"),
        ({"counts_start": None}, "damaged"),
        ({"counts_start": npy(np.zeros((6, 1), np.int64))}, "damaged"),
        ({"counts_start": npy(np.arange(6))}, "damaged"),
        ({"size": None}, "damaged"),
        ({"score": b"no array"}, "damaged"),
        ({"score": b""}, "damaged"),
        ({"score": npy(np.zeros(5))[:-1]}, "damaged"),
        ({"score": npy(np.zeros(5)) + b"x"}, "damaged"),
        ({"score": npy(np.zeros((5, 5), order="F"))}, "damaged"),
        ({"score": npy(np.array([Bomb()], object), allow_pickle=True)}, "damaged"),
        ({"header": npy(np.array([Bomb()], object), allow_pickle=True)}, "damaged"),
    ],
)
def test_a_file_that_is_not_quite_ours_is_refused(detections_file: Path, changes: dict, says: str):
    repack(detections_file, **changes)
    sentence = refused(load_detections, detections_file)
    assert sentence.startswith(str(detections_file)) and says in sentence, sentence


def columns_of(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as archive:
        return {key: archive[key] for key in archive.files if key != "header"}


def changed(column: np.ndarray, at: int, value: object) -> bytes:
    column = column.copy()
    column[at] = value
    return npy(column)


def test_columns_that_another_program_changed_are_judged(tmp_path: Path):
    path, other = tmp_path / "a.npz", tmp_path / "b.npz"
    save_detections(random_results(np.random.default_rng(3), 9, boxes=1, masks=1), path)
    own, content = columns_of(path), path.read_bytes()
    starts = own["counts_start"]
    shifted, crossed, huge = starts.copy(), starts.copy(), starts.copy()
    shifted[1:-1] += 1
    crossed[3:5] = crossed[4:2:-1]
    huge[4] = 2**62
    cases = [
        ({"score": changed(own["score"], 4, np.nan)}, 'detection 4 has a faulty "score"'),
        ({"box": changed(own["box"], 2, [0, 0, -1, 5])}, 'detection 2 has a faulty "bbox"'),
        ({"mask_area": changed(own["mask_area"], 6, own["mask_area"][6] + 1)}, "detection 6 has a mask_area or tight"),
        ({"tight": changed(own["tight"], 7, [0, 0, 99, 1])}, "detection 7 has a mask_area or tight box"),
        ({"mask_area": changed(own["mask_area"], 5, -1)}, "contradict each other"),
        ({"size": changed(own["size"], 5, 0)}, "contradict each other"),
        ({"counts_start": npy(shifted)}, "encode that mask again"),
        ({"counts_start": npy(crossed)}, "begin in the wrong places"),
        ({"counts_start": npy(huge)}, "begin in the wrong places"),
        ({"counts": changed(own["counts"], 3, own["counts"][3] ^ 1)}, "encode that mask again"),
    ]
    for change, says in cases:
        other.write_bytes(content)
        repack(other, **change)
        sentence = refused(open_detections, other)
        assert sentence.startswith(str(other)) and says in sentence, sentence
    other.write_bytes(content)
    repack(other)  # by another program, but the same
    same_columns(load_detections(other), load_detections(path))


def test_what_we_wrote_is_not_judged_again(detections_file: Path, monkeypatch):
    from fasa.evaluation.io import detections

    monkeypatch.setattr(detections, "validate", lambda *_, **__: pytest.fail("judged"))
    assert len(load_detections(detections_file)) == 5


def test_annotations_that_another_program_changed_are_refused(truth_file: Path):
    repack(truth_file)
    assert "was changed after fasa wrote it" in refused(load_ground_truth, truth_file)


def test_foreign_archives_are_refused(tmp_path: Path, detections_file: Path, truth_file: Path):
    path = tmp_path / "foreign.npz"
    np.savez(path, scores=np.zeros(3))
    assert "not written by fasa" in refused(load_detections, path)
    np.savez_compressed(path, scores=np.zeros(3))
    assert "not written by fasa" in refused(load_ground_truth, path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data.pkl", pickle.dumps(Bomb()))
    assert "not written by fasa" in refused(load_detections, path)
    with zipfile.ZipFile(path, "w"):
        pass
    assert refused(load_detections, path)  # an empty zip does not begin as a zip with members does
    with np.load(detections_file) as arrays:
        np.savez_compressed(path, **arrays)
    assert "is compressed" in refused(load_detections, path)
    assert "kind 'fasa-ground-truth': give a file of detections" in refused(load_detections, truth_file)
    assert "kind 'fasa-detections': give annotations" in refused(load_ground_truth, detections_file)


def test_detections_come_back_and_in_chunks(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("fasa.evaluation.io.detections.CHUNK_ROWS", 7)
    for seed, boxes, masks in ((0, 0.5, 0.5), (1, 1, 0), (2, 0, 1), (3, 1, 1)):
        entries = random_results(np.random.default_rng(seed), 40, boxes, masks)
        expected = load_detections(entries)
        path = tmp_path / f"{seed}.npz"
        save_detections(expected, path)
        same_columns(load_detections(path), expected)
        assert load_detections(path).name == str(path)
        source = open_detections(path)
        for _ in range(2):
            chunks = list(source.chunks())
            assert [chunk.first for chunk in chunks] == list(range(0, 40, 7))
            for chunk in chunks:
                same_columns(chunk, expected.rows(chunk.first, chunk.first + 7))
            assert source.done_bytes == source.total_bytes == path.stat().st_size
    save_detections([], path)
    same_columns(load_detections(path), load_detections([]))
    assert list(open_detections(path).chunks()) == []


def test_a_path_that_cannot_be_written_is_refused(tmp_path: Path):
    (tmp_path / "file").write_text("")
    assert "cannot be written" in refused(save_detections, [], tmp_path / "file" / "x.npz")
    truth = load_ground_truth(lvis_document())
    assert "cannot be written" in refused(save_ground_truth, truth, tmp_path / "file" / "x.npz")
