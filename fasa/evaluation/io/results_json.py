"""The official results JSON, a list of detections, read piece by piece in bounded memory.

Entries in the usual form are taken the quick way: by the compiled scanner, straight into columns, or without it by
msgspec, piece by piece, cut where one entry ends and the next begins. What the quick way refuses (an unusual number,
NaN, a cut inside an entry that looked like a cut between two) is read entry by entry by Python's own json, which
decides what is accepted and names what is not.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec

from fasa.errors import UserError
from fasa.evaluation.io import result_columns
from fasa.evaluation.io.files import ByteStream
from fasa.evaluation.io.result_columns import RawDetections
from fasa.evaluation.kernels import kernels

PIECE = 1 << 18  # bytes; what is decoded at once stays in the processor's cache
CHUNK_BYTES = 24 << 20  # of columns: about 32 MB of JSON
_SPACE = b" \t\n\r"
_SKIP = re.compile(r"[ \t\n\r]*")
_TOKEN = 32  # characters; no number, literal or escape that a cut can make faulty is longer
_TYPED = msgspec.json.Decoder(list[result_columns.Entry])
_BOXED = msgspec.json.Decoder(list[result_columns.BoxedEntry])
_PLAIN = json.JSONDecoder()
_REFUSED = (msgspec.MsgspecError, ValueError, OverflowError, RecursionError)


def read_results(
    stream: ByteStream, name: str, piece: int = PIECE, enough: int = CHUNK_BYTES, masks: bool = True
) -> Iterator[RawDetections]:
    """Columns of one part of the file after the other.

    Args:
        piece: bytes of the file that are read at once, about.
        enough: bytes of columns that make a part; by msgspec, a part is a piece.
        masks: False passes over those of entries that have a box, whatever they are.

    Raises:
        UserError: the file is no list of detections, or an entry is faulty; ``name`` is what sentences call the file.
    """
    return _Reader(stream, name, piece, enough, masks).parts()


class _Reader:
    def __init__(self, stream: ByteStream, name: str, piece: int, enough: int, masks: bool) -> None:
        self._stream, self._name, self._piece, self._enough, self._masks = stream, name, piece, enough, masks
        self._buffer = b""  # what was read and is in no column yet; from the first entry on it begins at an entry
        self._ended = False  # the stream has no more
        self._entries = 0  # in columns so far
        self._fault: UserError | None = None  # of the entry after those
        self._scanner: Any = kernels.ResultScanner(masks) if hasattr(kernels, "ResultScanner") else None

    def parts(self) -> Iterator[RawDetections]:
        going = self._open_list()
        while going:
            columns, going = self._quick() or self._careful()
            self._entries += len(columns)
            yield columns
            if self._fault:
                raise self._fault
        while content := self._buffer or self._stream.read(self._piece):
            if content.strip(_SPACE):
                raise UserError(f"{self._name} goes on after the end of its list: write one list of detections.")
            self._buffer = b""

    def _read_more(self) -> None:
        """Read a piece, or as much again as an entry that is longer than that."""
        content = self._stream.read(max(self._piece, len(self._buffer)))
        self._ended = not content
        self._buffer += content

    def _skip_space(self) -> bytes:
        """Drop white space and return the byte behind it."""
        self._buffer = self._buffer.lstrip(_SPACE)
        while not self._buffer and not self._ended:
            self._read_more()
            self._buffer = self._buffer.lstrip(_SPACE)
        return self._buffer[:1]

    def _open_list(self) -> bool:
        """Skip a byte order mark and the list's bracket; whether there is an entry."""
        while len(self._buffer) < len(codecs.BOM_UTF8) and not self._ended:
            self._read_more()
        self._buffer = self._buffer.removeprefix(codecs.BOM_UTF8)
        first = self._skip_space()
        if not first:
            raise UserError(f"{self._name} is empty: write the list of detections to it, [] if there are none.")
        if first == b"{":
            raise UserError(self._object())
        if first != b"[":
            raise UserError(f"{self._name} is no JSON list of detections: give the official results format.")
        self._buffer = self._buffer[1:]
        if self._skip_space() != b"]":
            return True
        self._buffer = self._buffer[1:]
        return False

    def _object(self) -> str:
        """What to say of an object in place of the list."""
        content = self._buffer
        while b'"images"' not in content:
            more = self._stream.read(1 << 24)
            if not more:
                return f"{self._name} holds an object where a list of detections belongs: write [{{…}}, {{…}}, …]."
            content = content[-16:] + more
        return f"{self._name} looks like annotations, not like results: give the list of detections."

    def _quick(self) -> tuple[RawDetections, bool] | None:
        """Columns of entries in the usual form, and whether the list goes on; None if the next is in another form."""
        return self._typed() if self._scanner is None else self._scanned()

    def _scanned(self) -> tuple[RawDetections, bool] | None:
        """By the compiled scanner, through one window that is filled again and again."""
        window, begin, end = bytearray(self._buffer), 0, len(self._buffer)
        while True:
            state, begin = self._scanner.scan(window, begin, end)
            if state != kernels.MORE or self._scanner.nbytes >= self._enough:
                break
            window[: end - begin] = memoryview(window)[begin:end]
            begin, end = 0, end - begin
            if len(window) < end + self._piece:
                window.extend(bytes(max(self._piece, end)))  # an entry may be longer than a piece
            read = self._stream.readinto(memoryview(window)[end : end + max(self._piece, end)])
            end += read
            if not read:
                self._ended = True
                break
        self._buffer = bytes(memoryview(window)[begin:end])
        if not len(self._scanner):
            return None
        return RawDetections.of_scanner(*self._scanner.take()), state != kernels.END

    def _typed(self) -> tuple[RawDetections, bool] | None:
        """By msgspec, up to where the last entry of the buffer begins, or all that is left.

        A wrong cut leaves an object open, which the bracket added here does not close.
        """
        while (cut := _last_gap(self._buffer)) is None and not self._ended:
            self._read_more()
        piece = b"[" + (self._buffer[: cut[0]] + b"]" if cut else self._buffer)
        columns = (None if self._masks else _boxes(piece)) or _columns(piece)
        if not columns:  # none: "]" behind a comma
            return None
        self._buffer = self._buffer[cut[1] :] if cut else b""
        return columns, cut is not None

    def _careful(self) -> tuple[RawDetections, bool]:
        """As ``_quick``, of the entries up to one that is cut off or broken; raises its error if it is the first."""
        values: list[Any] = []
        text, at, closed = self._text(), 0, False
        while not closed:
            at = _skipped(text, at)
            try:
                value, end = _PLAIN.raw_decode(text, at)
            except json.JSONDecodeError as error:
                rest = "" if error.msg.startswith("Unterminated string") else text[error.pos :].rstrip()
                cut_off = len(rest) < _TOKEN and not (self._ended and set(rest) & set("]}"))
                problem = f"is no JSON at detection {self._entries} ({error.msg.lower()})"
            except (ValueError, RecursionError) as error:  # a number of thousands of digits, a thousand brackets
                cut_off, problem = False, f"cannot be read at detection {self._entries} ({error})"
            else:
                end = _skipped(text, end)
                follows = text[end : end + 1]
                if follows in (",", "]"):
                    values.append(value)
                    closed = follows == "]"
                    at = end + 1
                    continue
                cut_off = not follows
                problem = f"has neither a comma nor the list's end behind detection {self._entries}"
            if values:
                break
            if not cut_off:
                raise UserError(f"{self._name} {problem}: write it again as JSON.")
            if self._ended:
                raise UserError(f"{self._name} breaks off at detection {self._entries}: write or copy it again.")
            self._read_more()
            text = self._text()
        self._buffer = self._buffer[len(text[:at].encode()) :]
        columns, self._fault = result_columns.from_objects(values, self._name, self._entries, self._masks)
        return columns, not closed

    def _text(self) -> str:
        """The buffer's whole characters."""
        try:
            return codecs.utf_8_decode(self._buffer, "strict", self._ended)[0]
        except UnicodeDecodeError as error:
            raise UserError(
                f"{self._name} is not UTF-8 text at detection {self._entries} or soon after: write it again as JSON."
            ) from error


def _columns(piece: bytes) -> RawDetections | None:
    try:
        return result_columns.from_typed(_TYPED.decode(piece))
    except _REFUSED:
        return None


def _boxes(piece: bytes) -> RawDetections | None:
    try:
        return result_columns.from_boxed(_BOXED.decode(piece))
    except _REFUSED:
        return None


def _skipped(text: str, at: int) -> int:
    """Place of the first character from ``at`` on that is no white space."""
    found = _SKIP.match(text, at)
    return found.end() if found else at


def _last_gap(buffer: bytes) -> tuple[int, int] | None:
    """Where the last entry but one ends and the last begins (``} , {``), if two objects follow each other."""
    begin = len(buffer)
    while (begin := buffer.rfind(b"{", 0, begin)) > 0:
        comma = _before(buffer, begin)
        if buffer[comma : comma + 1] == b",":
            end = _before(buffer, comma)
            if buffer[end : end + 1] == b"}":
                return end + 1, begin
    return None


def _before(buffer: bytes, at: int) -> int:
    """Place of the last byte before ``at`` that is no white space; -1 if there is none."""
    at -= 1
    while at >= 0 and buffer[at] in _SPACE:
        at -= 1
    return at
