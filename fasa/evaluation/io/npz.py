"""Our container of columns: an .npz (an uncompressed zip of .npy files) that is written whole and read without copying.

Beside the arrays it has ``header.npy``, JSON as bytes: the format's name and version, the arrays' names, and more.
Every member begins at a multiple of 64 bytes, so that a mapped column is aligned. ``np.load`` reads it, too.

The zip's comment is a seal: a hash of the members' checksums. Where it fits, the columns are those that we checked when
we wrote them; where a program changed some, checksums and all, it does not.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from fasa import atomic
from fasa.errors import UserError
from fasa.evaluation.io.files import explained, opened

_ALIGNMENT = 64
_LOCAL_HEADER = 30  # bytes of a zip member's local header before its name
_ZIP64 = 20  # bytes of the extra field that zipfile puts last
_BLOCK = 1 << 24  # bytes read at once for a checksum
_SPOOL_BLOCK = 1 << 22


@dataclass(frozen=True)
class Format:
    """A kind of container: ``what`` names its content in sentences."""

    name: str
    version: int
    what: str


@dataclass(frozen=True)
class Member:
    """An array to be written that need not be in memory: C order, its bytes one block after the other."""

    dtype: np.dtype
    shape: tuple[int, ...]
    blocks: Iterable[Any]

    @classmethod
    def of(cls, array: np.ndarray) -> Member:
        """An array that is in memory."""
        return cls(array.dtype, array.shape, [as_bytes(array)])


class Container(NamedTuple):
    """A container as read: ``columns`` look into ``mapping``; ``sealed``: nothing was changed since we wrote it."""

    header: dict[str, Any]
    columns: dict[str, np.ndarray]
    mapping: mmap.mmap
    sealed: bool


def as_bytes(array: np.ndarray) -> memoryview:
    """An array's bytes in C order."""
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


def write_npz(path: Path, form: Format, header: Mapping[str, Any], columns: Mapping[str, Member]) -> None:
    """Write a container atomically; the same content gives the same bytes.

    Raises:
        UserError: the file cannot be written.
    """
    text = json.dumps({"format": form.name, "version": form.version, "columns": list(columns), **header}).encode()
    members = {"header": Member.of(np.frombuffer(text, np.uint8)), **columns}

    def write(stream: BinaryIO) -> None:
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
            for name, column in members.items():
                _write_member(archive, stream, f"{name}.npy", column)
            archive.comment = _seal(archive.infolist())

    atomic.write(path, write)


def read_npz(path: Path, form: Format) -> Container:
    """A container; its mapping is private, so that a write to an array never reaches the file.

    Every member's CRC-32 is checked (0.25 s a gigabyte): a flipped bit is refused here and not scored.

    Raises:
        UserError: the file is damaged, cut off, of another kind or of a newer version; nothing is ever unpickled.
    """
    with explained(path), opened(path) as stream:
        try:
            with zipfile.ZipFile(stream) as archive:
                members, comment = archive.infolist(), archive.comment
            stream.seek(-len(comment) - 2, 2)
            if int.from_bytes(stream.read(2), "little") != len(comment):  # zipfile does not mind
                raise ValueError("it ends too early")
            if "header.npy" not in {member.filename for member in members}:
                raise UserError(f"{path} was not written by fasa: give {form.what}, as JSON or as fasa writes them.")
            places = {member.filename.removesuffix(".npy"): _checked(stream, member) for member in members}
            mapping = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_COPY)
            arrays = {name: _array(mapping, *place) for name, place in places.items()}
            header = json.loads(arrays.pop("header").tobytes())
            name, version = header["format"], int(header["version"])
            if name == form.name and version == form.version and sorted(header["columns"]) != sorted(arrays):
                raise ValueError("its columns are not those that its header lists")
        except (UserError, OSError):
            raise
        except Exception as error:  # a damaged archive, array header or JSON can raise nearly any exception
            raise UserError(f"{path} is damaged or cut off ({error}): copy or write it again.") from error
    if name != form.name:
        raise UserError(f"{path} is a file of kind {name!r}: give {form.what}.")
    if version != form.version:
        fix = "update fasa" if version > form.version else "write it again"
        raise UserError(f"{path} has version {version} of its format and this fasa reads {form.version}: {fix}.")
    return Container(header, arrays, mapping, comment == _seal(members))


def expect(path: Path, columns: Mapping[str, np.ndarray], expected: Mapping[str, tuple[Any, tuple[int, ...]]]) -> None:
    """Check that ``columns`` are the expected ones, with dtype and shape.

    Raises:
        UserError: they are not, which no version of ours has written.
    """
    for name, (dtype, shape) in expected.items():
        found = columns.get(name)
        if found is None or found.dtype != dtype or found.shape != shape:
            raise UserError(f"{path} is damaged (its column {name!r} is missing or misshapen): write it again.")


def _write_member(archive: zipfile.ZipFile, stream: BinaryIO, name: str, column: Member) -> None:
    info = zipfile.ZipInfo(name)  # its own date is 1 January 1980
    begin = stream.tell() + _LOCAL_HEADER + len(name) + 4 + _ZIP64
    padding = -begin % _ALIGNMENT
    info.extra = struct.pack("<HH", 0xD935, padding) + b"\0" * padding  # the id that Android's zipalign pads with
    with archive.open(info, "w", force_zip64=True) as member:
        top = BytesIO()
        description = np.lib.format.dtype_to_descr(column.dtype)
        np.lib.format.write_array_header_1_0(top, {"descr": description, "fortran_order": False, "shape": column.shape})
        member.write(top.getvalue())
        for block in column.blocks:
            member.write(block)


def _seal(members: Iterable[zipfile.ZipInfo]) -> bytes:
    checksums = "".join(f"{member.filename} {member.file_size} {member.CRC}\n" for member in members)
    return b"fasa " + hashlib.sha256(checksums.encode()).hexdigest().encode()


def _checked(stream: BinaryIO, member: zipfile.ZipInfo) -> tuple[int, int]:
    """Begin and end, in bytes, of a member in the file, its checksum found right."""
    if member.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{member.filename} is compressed")
    stream.seek(member.header_offset)
    local = stream.read(_LOCAL_HEADER)
    begin = member.header_offset + _LOCAL_HEADER + sum(struct.unpack("<HH", local[26:30]))
    stream.seek(begin)
    crc, left = 0, member.file_size
    while left:
        block = stream.read(min(left, _BLOCK))
        if not block:
            raise ValueError("it ends too early")
        crc, left = zlib.crc32(block, crc), left - len(block)
    if crc != member.CRC:
        raise ValueError(f"{member.filename} fails its checksum")
    return begin, begin + member.file_size


def _array(mapping: mmap.mmap, begin: int, end: int) -> np.ndarray:
    top = BytesIO(mapping[begin : min(end, begin + 4096)])
    if np.lib.format.read_magic(top) != (1, 0):
        raise ValueError("an array has a header of another version")
    shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(top)
    items = int(np.prod(shape, dtype=object))
    data = begin + top.tell()
    if fortran_order or dtype.hasobject or min(shape, default=0) < 0 or items * dtype.itemsize != end - data:
        raise ValueError("an array is misshapen")
    array = np.frombuffer(mapping, np.uint8, end - data, data) if items else np.empty(0, np.uint8)
    array = array.view(dtype).reshape(shape)
    return array if array.flags.aligned else array.copy()  # a tool that repacks zips may have moved it


class Spool:
    """Columns that grow on disk, chunk by chunk, until they are written as one container: memory stays bounded.

    The parts are files without a name beside ``target``, so that a killed process leaves nothing of them.
    """

    def __init__(self, target: Path) -> None:
        self._target = target
        self._files: dict[str, BinaryIO] = {}
        self._layout: dict[str, tuple[np.dtype, tuple[int, ...]]] = {}

    def append(self, name: str, array: np.ndarray) -> None:
        """Add rows to column ``name``, of the dtype and row shape that its first rows had.

        Raises:
            UserError: the folder cannot be written or the disk is full.
        """
        try:
            if name not in self._files:
                self._target.parent.mkdir(parents=True, exist_ok=True)
                folder, prefix = self._target.parent, f".{self._target.name}."
                self._files[name] = tempfile.TemporaryFile(dir=folder, prefix=prefix)  # noqa: SIM115
                self._layout[name] = array.dtype, array.shape[1:]
            self._files[name].write(as_bytes(array))
        except OSError as error:
            raise self._unwritable(error) from error

    def fill(self, name: str, rows: int, value: Any, dtype: Any, shape: tuple[int, ...] = ()) -> None:
        """Add ``rows`` rows of one value, without holding them all."""
        for row in range(0, rows, 1 << 16):
            self.append(name, np.full((min(1 << 16, rows - row), *shape), value, dtype))

    def __contains__(self, name: str) -> bool:
        return name in self._files

    def member(self, name: str) -> Member:
        """Column ``name`` as a whole, to be written once."""
        dtype, shape = self._layout[name]
        row = dtype.itemsize * int(np.prod(shape, dtype=np.int64))
        return Member(dtype, (self._files[name].tell() // row, *shape), self._blocks(self._files[name]))

    def close(self) -> None:
        """Delete what was spooled."""
        for file in self._files.values():
            with suppress(OSError):  # what a full disk did not take is not needed any more
                file.close()
        self._files.clear()

    def _blocks(self, file: BinaryIO) -> Iterator[bytes]:
        try:
            file.seek(0)
            while block := file.read(_SPOOL_BLOCK):
                yield block
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> UserError:
        return UserError(
            f"{self._target} cannot be written ({error.strerror}): free some space or choose another folder."
        )
