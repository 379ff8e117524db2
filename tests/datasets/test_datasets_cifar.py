"""The CIFAR loader on tiny archives written as Python 2 wrote the official ones."""

import io
import os
import pickle
import struct
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fasa.datasets import cifar, classification, load_pack, prepare_classification
from fasa.datasets.cifar import ARCHIVE, FOLDER, read_cifar100
from fasa.errors import UserError

PER_CLASS = 4


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    """CIFAR-100 with four training images of each class and one to test."""
    monkeypatch.setattr(cifar, "TRAIN_IMAGES", 100 * PER_CLASS)
    monkeypatch.setattr(cifar, "TEST_IMAGES", 100)


def python2_pickle(data: np.ndarray, labels: list[int]) -> bytes:
    """{"data": array, "fine_labels": labels} in the opcodes of Python 2's protocol 2, where text and bytes are one."""

    def text(value: str) -> bytes:
        return b"U" + bytes([len(value)]) + value.encode()

    def integer(value: int) -> bytes:
        return b"J" + struct.pack("<i", value)

    raw = data.tobytes()
    dtype = b"cnumpy\ndtype\n" + text("u1") + integer(0) + integer(1) + b"\x87R"
    dtype += b"(" + integer(3) + text("|") + b"NNN" + integer(-1) + integer(-1) + integer(0) + b"tb"
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n" + integer(0) + b"\x85" + text("b") + b"\x87R"
    array += b"(" + integer(1) + integer(data.shape[0]) + integer(data.shape[1]) + b"\x86" + dtype
    array += b"\x89T" + struct.pack("<i", len(raw)) + raw + b"tb"
    items = b"](" + b"".join(map(integer, labels)) + b"e"
    return b"\x80\x02}(" + text("data") + array + text("fine_labels") + items + b"u."


def fake_files(write=python2_pickle) -> dict[str, bytes]:
    """The files of a small CIFAR-100: label = position modulo classes, random pixels."""
    generator = np.random.default_rng(0)
    files = {}
    for name, size in (("train", 100 * PER_CLASS), ("test", 100)):
        data = generator.integers(0, 256, (size, 3072), dtype=np.uint8)
        files[name] = write(data, [index % 100 for index in range(size)])
    files["meta"] = pickle.dumps({"fine_label_names": [f"class {index}" for index in range(100)]}, protocol=2)
    return files


def write_archive(path: Path, files: dict[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    compression = {".gz": "gz", ".xz": "xz", ".bz2": "bz2"}.get(path.suffix, "")
    with tarfile.open(path, f"w:{compression}") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"{FOLDER}/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def write_folder(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def archive(tmp_path) -> Path:
    return write_archive(tmp_path / ARCHIVE, fake_files())


@pytest.mark.parametrize("kind", ["tar.gz", "tar.xz", "tar.bz2", "tar", "unpacked", "holds unpacked", "holds archive"])
def test_every_kind_of_source_reads_the_same(kind, tmp_path):
    files = fake_files()
    if kind == "unpacked":
        source = write_folder(tmp_path / "anywhere", files)
    elif kind == "holds unpacked":
        source = write_folder(tmp_path / "data" / FOLDER, files).parent
    elif kind == "holds archive":
        source = write_archive(tmp_path / ARCHIVE.replace(".gz", ".xz"), files).parent
        (tmp_path / f"{ARCHIVE}.part").write_bytes(b"the rest of an unfinished download")
    else:
        source = write_archive(tmp_path / f"copy.{kind}", files)
    pool = read_cifar100(source)
    expected = np.random.default_rng(0).integers(0, 256, (100 * PER_CLASS, 3072), dtype=np.uint8)
    np.testing.assert_array_equal(pool.train_images, expected.reshape(-1, 3, 32, 32))
    assert pool.train_images.dtype == np.uint8
    assert pool.test_images.shape == (100, 3, 32, 32)
    assert pool.train_labels.dtype == np.int64
    assert pool.train_labels.tolist() == PER_CLASS * list(range(100))
    assert pool.class_names[1] == "class 1" and len(pool.class_names) == 100
    assert (pool.mean, pool.std) == ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010))
    assert pool.flip and pool.pad == 4


@pytest.mark.parametrize("module", ["numpy.core", "numpy._core"])
def test_pickles_of_either_numpy_are_read(module, tmp_path):
    def write(data, labels):
        content = pickle.dumps({"data": data, "fine_labels": labels}, protocol=3)
        return content.replace(b"cnumpy._core.", b"cnumpy.core.").replace(b"cnumpy.core.", f"c{module}.".encode())

    files = fake_files(write)
    assert f"c{module}.multiarray".encode() in files["train"]
    assert len(read_cifar100(write_folder(tmp_path / "data", files)).train_labels) == 100 * PER_CLASS


class Exploit:
    """Pickles as a call that creates a folder."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("name", ["train", "test", "meta"])
def test_a_pickle_that_runs_code_is_refused_unrun(name, tmp_path):
    files = fake_files()
    files[name] = pickle.dumps({"data": Exploit(tmp_path / "pwned")})
    with pytest.raises(UserError, match=r"mkdir.*official"):
        read_cifar100(write_archive(tmp_path / "evil.tar.gz", files))
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("suffix", ["tar.gz", "tar.xz", "tar"])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.6, 0.98])
def test_a_truncated_archive_is_refused(suffix, share, tmp_path):
    archive = write_archive(tmp_path / f"cut.{suffix}", fake_files())
    content = archive.read_bytes()
    archive.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(UserError, match=r"cut\.tar"):
        read_cifar100(archive)


@pytest.mark.parametrize("suffix", ["tar.gz", "tar.xz", "tar.bz2"])
def test_changed_pixels_in_an_archive_are_refused(suffix, tmp_path):
    archive = write_archive(tmp_path / f"damaged.{suffix}", fake_files())
    content = bytearray(archive.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 100] = bytes(100)
    archive.write_bytes(content)
    with pytest.raises(UserError, match=r"damaged\.tar"):
        read_cifar100(archive)


@pytest.mark.parametrize("name", ["train", "test", "meta"])
def test_a_missing_file_is_named(name, tmp_path):
    files = fake_files()
    del files[name]
    with pytest.raises(UserError, match=rf"lacks cifar-100-python/{name}"):
        read_cifar100(write_archive(tmp_path / "a.tar.gz", files))


def test_a_folder_with_nothing_in_it_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"holds neither cifar-100-python\.tar\.gz"):
        read_cifar100(tmp_path)
    with pytest.raises(UserError, match="holds neither"):
        read_cifar100(tmp_path / "absent")


GOOD = np.zeros((400, 3072), dtype=np.uint8)
LABELS = [index % 100 for index in range(400)]


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ({"fine_labels": LABELS}, "no field data"),
        ({"data": GOOD}, "no field fine_labels"),
        ([GOOD, LABELS], "no field data"),
        ({"data": GOOD[:, :-1], "fine_labels": LABELS}, "3072 columns"),
        ({"data": GOOD.astype(np.float32), "fine_labels": LABELS}, "3072 columns"),
        ({"data": "pixels", "fine_labels": LABELS}, "3072 columns"),
        ({"data": GOOD, "fine_labels": LABELS[:-1]}, "no list of 400 classes"),
        ({"data": GOOD, "fine_labels": [100, *LABELS[1:]]}, "no list of 400 classes"),
        ({"data": GOOD, "fine_labels": [-1, *LABELS[1:]]}, "no list of 400 classes"),
        ({"data": GOOD, "fine_labels": ["0", *LABELS[1:]]}, "no list of 400 classes"),
        ({"data": GOOD[:300], "fine_labels": LABELS[:300]}, "300 training images instead of 400"),
    ],
)
def test_a_wrong_shape_is_refused(document, complaint, tmp_path):
    files = fake_files()
    files["train"] = pickle.dumps(document, protocol=4)
    with pytest.raises(UserError, match=complaint):
        read_cifar100(write_folder(tmp_path / "data", files))


@pytest.mark.parametrize("names", [["one"], "names", [1] * 100])
def test_wrong_class_names_are_refused(names, tmp_path):
    files = fake_files()
    files["meta"] = pickle.dumps({"fine_label_names": names})
    with pytest.raises(UserError, match="does not name 100 classes"):
        read_cifar100(write_folder(tmp_path / "data", files))


@pytest.mark.parametrize("content", [b"", b"not a pickle", b"\x80\x04", b"\x80\x02cnumpy\nndarray\n)R."])
def test_a_damaged_pickle_is_refused(content, tmp_path):
    files = fake_files()
    files["test"] = content
    with pytest.raises(UserError, match="test in"):
        read_cifar100(write_folder(tmp_path / "data", files))


@pytest.fixture
def tiny_origin(monkeypatch):
    origin = replace(classification.ORIGINS["cifar100_lt"], largest=PER_CLASS)
    monkeypatch.setitem(classification.ORIGINS, "cifar100_lt", origin)


def test_prepare_from_a_source(tiny_origin, archive, tmp_path):
    destination = tmp_path / "packs" / "cifar100_lt.npz"
    prepare_classification("cifar100_lt", 4, 2, 0, archive, tmp_path / "unused", destination)
    dataset = load_pack(destination)
    assert dataset.name == "cifar100_lt"
    assert dataset.class_counts[[0, -1]].tolist() == [4, 1]
    assert np.bincount(dataset.heldout_labels, minlength=100)[[0, -1]].tolist() == [0, 2]
    assert not (tmp_path / "unused").exists()


def test_prepare_downloads_where_there_is_no_source(tiny_origin, archive, tmp_path, monkeypatch):
    asked = []

    def fetch(urls, destination, checksum, largest):
        asked.append((urls, checksum))
        destination.parent.mkdir()
        destination.write_bytes(archive.read_bytes())

    monkeypatch.setattr(classification, "fetch", fetch)
    prepare_classification("cifar100_lt", 4, 2, 0, None, tmp_path / "downloads", tmp_path / "pack.npz")
    assert asked == [
        (["https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz"], "md5:eb9058c3a382ffc7106e4002c42a8d85"),
    ]
    assert load_pack(tmp_path / "pack.npz").class_counts.sum() == len(load_pack(tmp_path / "pack.npz").train_images)


def test_an_unknown_data_set_is_refused(tmp_path):
    with pytest.raises(UserError, match="choose one of cifar100_lt, digits_lt"):
        prepare_classification("imagenet_lt", 100, 20, 0, None, tmp_path, tmp_path / "pack.npz")
