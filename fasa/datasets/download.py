"""Download one file: resumed, retried, from one mirror after another, and checked.

Why not pooch: it starts a broken download anew, and ours have 100 to 400 MB; it knows neither mirrors nor file:
addresses, retries a page that does not exist, and compares whole checksums, of which the names of published weights
hold only the first digits. What it would leave to do is nearly as long as this file.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from time import sleep
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from fasa.errors import UserError

MIRROR = "FASA_MIRROR"  # a folder, or the address of one (http:, https: or file:), that is asked first
TIMEOUT = 30  # seconds without a byte
LARGEST = 1 << 30  # bytes; ours have 100 to 400 million
BLOCK = 1 << 18  # bytes between two updates of the progress bar
NETWORK_ERRORS = (URLError, HTTPException, ConnectionError, TimeoutError, ssl.SSLError)
TEMPORARY_STATUS = {408, 425, 429}  # client errors that another attempt may not meet; the other 4xx are final


class TooLarge(ConnectionError):
    """A server sends more bytes than the file can have."""


def fetch(urls: Sequence[str], destination: Path, checksum: str, attempts: int = 5, largest: int = LARGEST) -> None:
    """Download one of ``urls`` to ``destination`` unless a file with that checksum is there already.

    Bytes go to ``destination`` + ".part", which a later attempt or call resumes, from whichever mirror, and which is
    renamed once its checksum fits. The folder that the environment variable ``FASA_MIRROR`` names is asked first.
    A second download at the same time has a file of its own.

    Args:
        urls: of the same file, best first; an attempt that fails is followed by one at the next.
        checksum: ``md5:`` or ``sha256:`` and hexadecimal digits, or the first of them.
        attempts: in all.
        largest: the bytes that the file has at most; who sends more is not listened to.

    Raises:
        UserError: no attempt brought the right bytes, the folder cannot be written, or ``FASA_MIRROR`` is none.
    """
    left = addresses(destination.name, urls)
    tried, reason = left[0], ""
    try:
        if destination.is_file() and fits(destination, checksum):
            return
        destination.parent.mkdir(parents=True, exist_ok=True)
        with _part_of(destination) as part:
            for attempt in range(attempts):
                if not left:
                    break
                if attempt:
                    sleep(2**attempt)
                tried = left.pop(0)
                try:
                    _download(tried, part, largest)
                except NETWORK_ERRORS as error:
                    reason = str(error) or type(error).__name__
                    if not _is_final(error):
                        left.append(tried)
                    continue
                if fits(part, checksum):
                    os.replace(part, destination)
                    return
                os.truncate(part, 0)  # nothing tells which of its bytes are wrong
                reason = "its bytes have another one"
                left.append(tried)
    except OSError as error:
        raise UserError(
            f"{destination} cannot be written ({error.strerror}): free some space or choose another folder."
        ) from error
    raise UserError(
        f"{tried} could not be downloaded with checksum {checksum} ({reason}): check the network, or get the file "
        f"elsewhere and name its folder, as in {MIRROR}=file:///FOLDER."
    )


def fits(path: Path, checksum: str) -> bool:
    """Whether the file's checksum begins as ``checksum`` (see :func:`fetch`) says."""
    kind, _, digits = checksum.partition(":")
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, kind).hexdigest().startswith(digits)


def addresses(file: str, urls: Sequence[str]) -> list[str]:
    """Where :func:`fetch` looks for ``file``, which is at ``urls``: in the user's mirror first.

    Raises:
        UserError: that is neither an address nor a folder.
    """
    mirror = os.environ.get(MIRROR)
    if mirror and not re.match("(https?|file):/", mirror):
        if not Path(mirror).is_dir():
            raise UserError(f"{MIRROR} is '{mirror}', which is neither a folder nor the address of one: correct it.")
        mirror = Path(mirror).resolve().as_uri()
    return [*([f"{mirror.rstrip('/')}/{file}"] if mirror else []), *urls]


def named_checksum(path: Path) -> str:
    """The checksum that a file's name ends in, as ``resnet50-0676ba61.pth`` does, for :func:`fetch`.

    Raises:
        UserError: it ends in none.
    """
    digits = re.search(r"-([0-9a-f]{8,64})$", path.stem)
    if digits is None:
        raise UserError(f"{path.name} does not end in the first digits of its SHA-256; name a file that does.")
    return f"sha256:{digits[1]}"


@contextmanager
def _part_of(destination: Path) -> Iterator[Path]:
    """Where a download's bytes go: the ``.part`` of before, or a file of its own while another writes there."""
    shared = destination.with_name(f"{destination.name}.part")
    with shared.open("ab") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Whoever had the lock before may have renamed the file meanwhile.
            ours = shared.exists() and os.path.samestat(os.fstat(stream.fileno()), shared.stat())
        except OSError:  # locked, or a file system without locks
            ours = False
        part = shared if ours else destination.with_name(f"{destination.name}.{os.getpid()}.part")
        part.touch()
        try:
            yield part
        finally:
            if part.exists() and (not ours or part.stat().st_size == 0):
                part.unlink()


def _is_final(error: Exception) -> bool:
    """Whether this server will give the same answer again: it has no such file, or none that it sends."""
    if isinstance(error, TooLarge):
        return True
    if isinstance(error, HTTPError):
        return 400 <= error.code < 500 and error.code not in TEMPORARY_STATUS
    return isinstance(error, URLError) and isinstance(error.reason, FileNotFoundError | IsADirectoryError)


def _download(url: str, part: Path, largest: int) -> None:
    """Append to ``part`` what it lacks, or write it anew where the server cannot resume."""
    have = part.stat().st_size
    request = Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        with urlopen(request, timeout=TIMEOUT) as response:
            resumed = response.status == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
            if response.status == 206 and not resumed:
                os.truncate(part, 0)
                raise ConnectionError("the server resumed at the wrong byte")
            _stream(response, part, have if resumed else 0, largest)
    except HTTPError as error:
        if not (error.code == 416 and have):  # 416: there is nothing after these bytes; the checksum decides
            raise


def _stream(response: HTTPResponse, part: Path, have: int, largest: int) -> None:
    length = response.headers.get("Content-Length")
    total = have + int(length) if length is not None else None
    if total is not None and total > largest:
        raise TooLarge(f"the server has {total} bytes, and the file {largest} at most")
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    console = Console(stderr=True)
    progress = Progress(*columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal)
    with part.open("ab" if have else "wb") as stream, progress:
        task = progress.add_task(part.name.partition(".part")[0], total=total, completed=have)
        while block := response.read(BLOCK):
            have += len(block)
            if have > largest:
                stream.truncate(0)
                raise TooLarge(f"the server sends more than {largest} bytes, which is all that the file can have")
            stream.write(block)
            progress.update(task, completed=have)
    if total is not None and have < total:  # http.client ends quietly when the other side hangs up
        raise ConnectionError(f"the connection closed after {have} of {total} bytes")
