"""Files made to run code, to crash the interpreter, to fill the memory or the disk: each refused in a sentence."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import json
import pickle
import select
import struct
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from fault_table import record

from fasa.sealed import END

HERE = Path(__file__).parent
MEMORY = 600  # MiB that a malicious file may take; CIFAR-100 whole takes 400
SECONDS = 60
HUGE = 1 << 40
DEEP = 100_000


# ---------------------------------------------------------------------------------------------------------- pickles
def short(text: str) -> bytes:
    return b"\x8c" + bytes([len(text)]) + text.encode()


def number(value: int) -> bytes:
    return b"\x8a\x08" + struct.pack("<q", value)


def plain(value: object) -> bytes:
    """The instructions that put a plain value on the stack."""
    return pickle.dumps(value, protocol=2)[2:-1].replace(b"q\x00", b"").replace(b"q\x01", b"")


def array(kind: str, shape: tuple[int, ...], content: bytes, dtype_state: object = None) -> bytes:
    """A pickle of an array that says of itself whatever we like."""
    state = (3, "<", None, None, None, -1, -1, 0) if dtype_state is None else dtype_state
    dtype = b"cnumpy\ndtype\n" + plain((kind, False, True)) + b"R" + plain(state) + b"b"
    empty = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n" + plain((0,)) + b"C\x01b\x87R"
    whole = b"B" + struct.pack("<I", len(content)) + content
    return b"\x80\x03" + empty + b"(K\x01" + plain(shape) + dtype + b"\x89" + whole + b"tb."


POINTERS = bytes(range(8, 72))
CALL_NDARRAY = b"\x80\x03cnumpy\nndarray\n(" + plain((8,)) + short("O") + b"C\x40" + POINTERS + b"tR."
PICKLES = {
    "an array of objects": array("O8", (8,), POINTERS),
    "ndarray called with objects": CALL_NDARRAY,
    "an array of records": array("V8", (8,), POINTERS, (3, "|", None, ("a",), {"a": (0, 0)}, 8, 1, 0)),
    "a record with objects": array("V8", (1,), POINTERS[:8], (3, "|", None, ("a",), {"a": ("O", 0)}, 8, 8, 27)),
    "an array within an array": array("i8", (8,), POINTERS, (3, "<", ("O", (1,)), None, None, -1, -1, 0)),
    "flags of objects": array("i8", (8,), POINTERS, (3, "<", None, None, None, -1, -1, 63)),
    "text": array("U2", (8,), POINTERS),
    "an itemsize of a terabyte": array("V1099511627776", (8,), POINTERS),
    "a shape of a terabyte": array("u1", (HUGE,), POINTERS),
    "a shape that overflows": array("i8", (1 << 62, 1 << 62), POINTERS),
    "an empty shape that overflows": array("i8", (0, 1 << 62, 1 << 62), b""),
    "a negative shape": array("i8", (-8,), POINTERS),
    "more dimensions than there are": array("u1", (1,) * 100, b"x"),
    "os.system": b"cos\nsystem\n(S'true'\ntR.",
    "eval by the stack": b"\x80\x04" + short("builtins") + short("eval") + b"\x93" + short("1") + b"\x85R.",
    "getattr": b"cbuiltins\ngetattr\n(cnumpy\nndarray\nS'__reduce__'\ntR.",
    "a bytearray of a terabyte": b"\x80\x05\x96" + struct.pack("<Q", HUGE) + b"x.",
    "bytearray called": b"\x80\x02cbuiltins\nbytearray\n" + number(8 << 30) + b"\x85R.",
    "a memory of billions": b"\x80\x02Nr" + struct.pack("<I", (1 << 32) - 1) + b".",
    "a tuple in a million as a key": b"\x80\x02}N" + b"\x85" * 1_000_000 + b"K\x01s.",
    "state for a function": b"cnumpy.core.multiarray\n_reconstruct\n}S'__code__'\nNsb.",
    "an object without its maker": b"\x80\x02(cnumpy\nndarray\nNo.",
    "an extension": b"\x80\x02\x82\x01.",
    "a number of 5,000 digits": b"L" + b"9" * 5000 + b"L\n.",
    "a persistent object": b"Pos.system\n.",
    "more taken than there is": b"RRRR.",
}


def train_file(folder: Path, content: bytes) -> Path:
    """A folder as CIFAR-100 unpacks, of which ``train`` is ``content``."""
    folder.mkdir(exist_ok=True)
    for name in ("train", "test", "meta"):
        (folder / name).write_bytes(content)
    return folder


def torch_file(path: Path, content: bytes, **parts: bytes) -> Path:
    """torch's zip with the pickle ``content``."""
    torch.save({"w": torch.ones(4)}, path)
    with zipfile.ZipFile(path) as archive:
        records = {info.filename: archive.read(info) for info in archive.infolist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, record_ in records.items():
            archive.writestr(name, content if name.endswith("data.pkl") else record_)
        for name, record_ in parts.items():
            archive.writestr(f"x/{name}", record_, zipfile.ZIP_DEFLATED)
    return path


def of_pickle(door: str, folder: Path, content: bytes) -> Path:
    if door == "cifar":
        return train_file(folder / "cifar", content)
    if door in ("weights", "checkpoint"):
        return torch_file(folder / "epoch_1.pth", content)
    (folder / "index.pt").write_bytes(content)
    return folder / "index.pt"


# --------------------------------------------------------------------------------------------------------- archives
def tar(path: Path, *members: tuple[tarfile.TarInfo, bytes], opener: Callable = gzip.open) -> Path:
    with opener(path, "wb") as stream, tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for member, content in members:
            archive.addfile(member, io.BytesIO(content))
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, size: int = 0, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(f"cifar-100-python/{name}")
    info.type, info.size, info.linkname = kind, size, target
    return info


def links(kind: bytes) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        return tar(folder / "c.tar.gz", *((member(name, kind, 0, "/etc/passwd"), b"") for name in ("train", "test")))

    return make


def bomb(compress: Callable[[bytes], bytes], start: tarfile.TarInfo) -> Callable[[Path], Path]:
    """A tar of one header and 1 GB of zeros, which pack to almost nothing."""

    def make(folder: Path) -> Path:
        zeros = compress(bytes(1 << 24))
        (folder / "c.tar").write_bytes(compress(start.tobuf()) + zeros * 64)
        return folder / "c.tar"

    return make


def outside(folder: Path) -> Path:
    return tar(folder / "c.tar.gz", (member("../../train", size=1), b"x"), (member("/train", size=1), b"x"))


def crowd(folder: Path) -> Path:
    return tar(folder / "c.tar.gz", *((member(f"{n}"), b"") for n in range(5000)))


def npz(**parts: bytes) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        with zipfile.ZipFile(folder / "x.npz", "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in parts.items():
                archive.writestr(f"{name}.npy", content)
        return folder / "x.npz"

    return make


def npy(header: str, content: bytes = b"") -> bytes:
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + content


def saved(values: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, values)
    return stream.getvalue()


def header(document: object) -> bytes:
    text = document if isinstance(document, bytes) else json.dumps(document).encode()
    return saved(np.frombuffer(text, np.uint8))


PACK = header(
    {"format": "fasa-long-tail-pack", "version": 2, "name": "x", "class_names": ["a"], "mean": [0], "std": [1]}
)


def packed_bomb(folder: Path) -> Path:
    """A column of 700 MB of zeros."""
    path = folder / "x.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("header.npy", PACK)
        with archive.open("train_labels.npy", "w", force_zip64=True) as stream:
            stream.write(npy(f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({700 << 20},), }}\n"))
            for _ in range(700):
                stream.write(bytes(1 << 20))
    return path


def torch_bomb(folder: Path) -> Path:
    return torch_file(folder / "x.pt", b"\x80\x02}.", bomb=bytes(1 << 28))


def of_zip(names: dict[str, bytes], listed: object = None, **manifest: object) -> Callable[[Path], Path]:
    """A bundle with ``names`` whose manifest says what it should, but for ``listed`` and ``manifest``."""

    def make(folder: Path) -> Path:
        told = {
            name: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            for name, content in names.items()
        }
        content = {"format": "fasa bundle", "version": 1, "scale": "smoke", "files": listed or told} | manifest
        with zipfile.ZipFile(folder / "x.fasa.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for name, text in names.items():
                archive.writestr(name, text)
            archive.writestr("bundle.json", json.dumps(content))
        return folder / "x.fasa.zip"

    return make


def manifest_of(text: bytes) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        with zipfile.ZipFile(folder / "x.fasa.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            archive.writestr("bundle.json", text)
        return folder / "x.fasa.zip"

    return make


def locked(folder: Path) -> Path:
    """A bundle whose manifest says that it has a password."""
    path = of_zip({"configs/a": b"x"})(folder)
    content = bytearray(path.read_bytes())
    for signature, flags in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        place = -1
        while (place := content.find(signature, place + 1)) >= 0:
            content[place + flags] |= 1
    path.write_bytes(content)
    return path


def text(name: str, content: bytes) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    return make


BOMBS = {
    "brackets in each other": b"[" * DEEP,
    "objects in each other": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "a number of 10,000 digits": b'{"format": ' + b"9" * 10_000 + b"}",
    "a number beyond all": b"[1e999999]",
    "no JSON, but bytes": b"\xff\xfe\x00",
}
ARCHIVES: dict[str, tuple[str, Callable[[Path], Path]]] = {
    "tar with symbolic links": ("cifar", links(tarfile.SYMTYPE)),
    "tar with hard links": ("cifar", links(tarfile.LNKTYPE)),
    "tar with devices": ("cifar", links(tarfile.CHRTYPE)),
    "tar with pipes": ("cifar", links(tarfile.FIFOTYPE)),
    "tar with names outside": ("cifar", outside),
    "tar with 5,000 members": ("cifar", crowd),
    "tar.gz of 1 GB of zeros": ("cifar", bomb(gzip.compress, member("train", size=1 << 30))),
    "tar.bz2 of 1 GB of zeros": ("cifar", bomb(bz2.compress, member("train", size=1 << 30))),
    "tar with a header of 1 GB": ("cifar", bomb(gzip.compress, member("x", tarfile.XHDTYPE, 1 << 30))),
    "pack with a column of 700 MB of zeros": ("pack", packed_bomb),
    "pack with objects": (
        "pack",
        npz(header=PACK, train_labels=npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }\n", POINTERS)),
    ),
    "pack with a shape of a terabyte": (
        "pack",
        npz(header=PACK, train_labels=npy(f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({HUGE},), }}\n")),
    ),
    "pack with a header in brackets": ("pack", npz(header=header(b"[" * DEEP))),
    "torch's zip with a packed part": ("weights", torch_bomb),
    "bundle with a name outside": ("bundle", of_zip({"configs/../../x": b"x"})),
    "bundle with an absolute name": ("bundle", of_zip({"/tmp/x": b"x"})),
    "bundle of a scale outside": ("bundle", of_zip({"configs/a": b"x"}, scale="../../x")),
    "bundle of 256 MB of zeros": ("bundle", of_zip({"configs/a": bytes(1 << 28)})),
    "bundle that says less than it holds": (
        "bundle",
        of_zip({"configs/a": bytes(1 << 20)}, {"configs/a": {"bytes": 1, "sha256": ""}}),
    ),
    "bundle with a list of files": ("bundle", of_zip({"configs/a": b"x"}, ["configs/a"])),
    "bundle with odd entries": ("bundle", of_zip({"configs/a": b"x"}, {"configs/a": 3})),
    "bundle with a password": ("bundle", locked),
    "bundle.json of 256 MB": ("bundle", manifest_of(b" " * (1 << 28))),
    **{f"bundle.json: {name}": ("bundle", manifest_of(content)) for name, content in BOMBS.items()},
    **{
        f"{door}: {name}": (door, text(file, content))
        for door, file in {
            "annotations": "a.json",
            "detections": "d.json",
            "manifest": "manifest.json",
            "scenes": "dataset.json",
            "run_file": "cost.json",
        }.items()
        for name, content in BOMBS.items()
    },
}
SEALED = {
    "brackets in each other": b'{\n "of": {"kind": "cost"},\n "x": ' + b"[" * DEEP + b"]" * DEEP,
    "of a list": b'{\n "of": ["kind"],\n "x": 1',
    "of nothing": b'{\n "x": 1',
    "a number of 10,000 digits": b'{\n "of": {"kind": "cost"},\n "x": ' + b"9" * 10_000,
    "of what is too long to tell": b'{\n "of": {"kind": "' + b"cost" * 10_000 + b'"}',
}


def sealed_file(content: bytes) -> Callable[[Path], Path]:
    """A file whose checksum is right: whoever writes one can make it."""
    return text("cost.json", content + END.format(hashlib.sha256(content).hexdigest()).encode())


CASES = {
    **{f"run_file with its checksum: {name}": ("run_file", sealed_file(content)) for name, content in SEALED.items()},
    **{
        f"{door}: {name}": (door, lambda folder, door=door, content=content: of_pickle(door, folder, content))
        for door in ("cifar", "coco_lt", "weights", "checkpoint")
        for name, content in PICKLES.items()
    },
    **ARCHIVES,
}


class Process:
    """The doors, in a process that is started again when a file has ended it."""

    def __init__(self) -> None:
        self.running: subprocess.Popen | None = None

    def open(self, door: str, path: Path) -> dict:
        if self.running is None or self.running.poll() is not None:
            command = [sys.executable, str(HERE / "doors.py")]
            self.running = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.running.stdin.write(f"{door}\t{path}\n")
        self.running.stdin.flush()
        while select.select([self.running.stdout], [], [], SECONDS)[0] and (line := self.running.stdout.readline()):
            if line.startswith("doors: "):
                return json.loads(line.removeprefix("doors: "))
        self.running.kill()
        pytest.fail(f"the process ended or hung: {self.running.wait()}")


@pytest.fixture(scope="module")
def doors() -> Iterator[Process]:
    process = Process()
    yield process
    if process.running:
        process.running.stdin.close()
        process.running.wait()


@pytest.mark.parametrize("case", CASES)
def test_it_is_refused(case: str, doors: Process, tmp_path: Path):
    door, make = CASES[case]
    folder = tmp_path / "inside" / "folder"
    folder.mkdir(parents=True)
    path = make(folder)
    before = set(tmp_path.rglob("*"))
    end = doors.open(door, path)
    assert end["said"] and "\n" not in end["said"] and str(path) in end["said"], end
    assert len(end["said"]) < 600 and end["grown"] < MEMORY, end
    assert set(tmp_path.rglob("*")) == before
    record(f"malicious files: {door}", 1, refused=1)
