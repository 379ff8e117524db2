"""A pack returns every bit that went in, and refuses to return anything else."""

import dataclasses
import io
import json
import zipfile

import numpy as np
import pytest

from fasa.datasets import LongTailDataset, load_pack
from fasa.datasets.pack import SPLITS, save_pack
from fasa.errors import UserError


def a_dataset(side: int = 32, heldout: int = 3) -> LongTailDataset:
    """Images, some smooth and some noise."""
    generator = np.random.default_rng(0)

    def images(count: int) -> np.ndarray:
        ramp = np.linspace(0, 200, side).astype(np.uint8)
        noise = generator.integers(0, 56, (count, 3, side, side), dtype=np.uint8)
        noise[::2] = generator.integers(0, 256, noise[::2].shape, dtype=np.uint8) - ramp
        return noise + ramp

    def labels(count: int) -> np.ndarray:
        return np.sort(generator.integers(0, 3, count))

    return LongTailDataset(
        name="toy_lt",
        class_names=("apple", "bär", "cat"),
        train_images=images(437),
        train_labels=labels(437),
        heldout_images=images(heldout),
        heldout_labels=labels(heldout),
        test_images=images(41),
        test_labels=labels(41),
        mean=(0.4914, 0.4822, 0.4465),
        std=(0.2023, 0.1994, 0.2010),
        flip=True,
        pad=4,
    )


@pytest.fixture(scope="module")
def packed(tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("pack") / "toy.npz"
    save_pack(path, a_dataset())
    return path.read_bytes()


@pytest.mark.parametrize(("side", "heldout"), [(32, 3), (16, 400), (8, 0)])
def test_round_trip_is_bit_equal(side, heldout, tmp_path):
    dataset = a_dataset(side, heldout)
    save_pack(tmp_path / "toy.npz", dataset)
    loaded = load_pack(tmp_path / "toy.npz")
    for field in dataclasses.fields(LongTailDataset):
        before, after = getattr(dataset, field.name), getattr(loaded, field.name)
        if isinstance(before, np.ndarray):
            assert after.dtype == before.dtype
            np.testing.assert_array_equal(after, before)
        else:
            assert after == before and type(after) is type(before)


def test_same_data_gives_same_bytes_at_any_time(packed, tmp_path, monkeypatch):
    monkeypatch.setattr("time.time", lambda: 2e9)
    save_pack(tmp_path / "again.npz", a_dataset())
    assert (tmp_path / "again.npz").read_bytes() == packed


def test_numpy_alone_can_open_a_pack(packed):
    with np.load(io.BytesIO(packed), allow_pickle=False) as arrays:
        assert json.loads(arrays["header"].tobytes())["class_names"] == ["apple", "bär", "cat"]
        assert arrays["train_differences"].shape == (437, 3, 32, 32)


def test_a_missing_pack_names_its_fix(tmp_path):
    with pytest.raises(UserError, match="fasa data"):
        load_pack(tmp_path / "absent.npz")


@pytest.mark.parametrize("share", [0, 0.01, 0.3, 0.9, 0.999])
def test_a_truncated_pack_is_refused(packed, share, tmp_path):
    (tmp_path / "cut.npz").write_bytes(packed[: int(len(packed) * share)])
    with pytest.raises(UserError, match=r"cut\.npz"):
        load_pack(tmp_path / "cut.npz")


def test_a_flipped_byte_never_gives_other_data(packed, tmp_path):
    dataset = a_dataset()
    path = tmp_path / "flipped.npz"
    refused = 0
    for position in np.random.default_rng(0).integers(0, len(packed), 60):
        damaged = bytearray(packed)
        damaged[position] ^= 0x55
        path.write_bytes(damaged)
        try:
            loaded = load_pack(path)
        except UserError:
            refused += 1
        else:  # a byte that nothing reads, such as a date
            for split in SPLITS:
                np.testing.assert_array_equal(getattr(loaded, f"{split}_images"), getattr(dataset, f"{split}_images"))
    assert refused >= 50


def rewritten(packed: bytes, **changes: np.ndarray) -> bytes:
    """The pack with some arrays replaced, in an archive whose own checksums fit."""
    with np.load(io.BytesIO(packed)) as arrays:
        content = dict(arrays) | changes
    stream = io.BytesIO()
    np.savez(stream, **content)
    return stream.getvalue()


def header_with(packed: bytes, **changes: object) -> np.ndarray:
    with np.load(io.BytesIO(packed)) as arrays:
        header = json.loads(arrays["header"].tobytes()) | changes
    return np.frombuffer(json.dumps(header).encode(), dtype=np.uint8)


def test_other_labels_fail_the_checksum(packed, tmp_path):
    labels = a_dataset().train_labels
    labels[0] = 2
    (tmp_path / "toy.npz").write_bytes(rewritten(packed, train_labels=labels))
    with pytest.raises(UserError, match="checksum"):
        load_pack(tmp_path / "toy.npz")


@pytest.mark.parametrize("version", [1, 3])
def test_another_version_is_refused_and_how_to_make_it_again_is_said(version, packed, tmp_path):
    (tmp_path / "toy.npz").write_bytes(rewritten(packed, header=header_with(packed, version=version)))
    with pytest.raises(
        UserError, match=rf"another version: .* version {version}\): delete it and .*again with `fasa data`"
    ):
        load_pack(tmp_path / "toy.npz")


def empty_zip() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w"):
        pass
    return stream.getvalue()


def saved(save, *arrays, **named) -> bytes:
    stream = io.BytesIO()
    save(stream, *arrays, **named)
    return stream.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"something else",
        empty_zip(),
        saved(np.savez, np.arange(3)),
        saved(np.save, np.arange(3)),
        saved(np.savez, header=np.array([{"a": 1}], dtype=object)),
        saved(np.savez, header=np.frombuffer(b"[]", dtype=np.uint8)),
    ],
    ids=["empty", "text", "empty zip", "other npz", "npy", "pickled", "odd header"],
)
def test_a_foreign_file_is_refused(content, tmp_path):
    (tmp_path / "foreign.npz").write_bytes(content)
    with pytest.raises(UserError, match=r"foreign\.npz is no readable data pack"):
        load_pack(tmp_path / "foreign.npz")


def test_an_interrupted_save_leaves_the_old_pack(packed, tmp_path, monkeypatch):
    path = tmp_path / "toy.npz"
    path.write_bytes(packed)

    def no_space(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", no_space)
    with pytest.raises(UserError, match="No space left"):
        save_pack(path, a_dataset(side=8))
    assert path.read_bytes() == packed
    assert [entry.name for entry in tmp_path.iterdir()] == ["toy.npz"]
