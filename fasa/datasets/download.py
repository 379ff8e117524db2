"""Download one file: resumed, retried, from one mirror after another, and checked.

Why not pooch: it starts a broken download anew, and ours have 100 to 400 MB; it knows neither mirrors nor file:
addresses, retries a page that does not exist, and compares whole checksums, of which the names of published weights
hold only the first digits. What it would leave to do is nearly as long as this file.
"""

from __future__ import annotations

import hashlib
import os
import re
import ssl
from collections.abc import Sequence
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from time import sleep
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from fasa.errors import UserError

MIRROR = "FASA_MIRROR"  # the address of a folder, http:, https: or file:, that is asked first
TIMEOUT = 30  # seconds without a byte
BLOCK = 1 << 18  # bytes between two updates of the progress bar
NETWORK_ERRORS = (URLError, HTTPException, ConnectionError, TimeoutError, ssl.SSLError)
TEMPORARY_STATUS = {408, 425, 429}  # client errors that another attempt may not meet; the other 4xx are final


def fetch(urls: Sequence[str], destination: Path, checksum: str, attempts: int = 5) -> None:
    """Download one of ``urls`` to ``destination`` unless a file with that checksum is there already.

    Bytes go to ``destination`` + ".part", which a later attempt or call resumes, from whichever mirror, and which is
    renamed once its checksum fits. The folder that the environment variable ``FASA_MIRROR`` names is asked first.

    Args:
        urls: of the same file, best first; an attempt that fails is followed by one at the next.
        checksum: ``md5:`` or ``sha256:`` and hexadecimal digits, or the first of them.

    Raises:
        UserError: no attempt brought the right bytes, or the folder cannot be written.
    """
    part = destination.with_name(f"{destination.name}.part")
    left = addresses(destination.name, urls)
    tried, reason = left[0], ""
    try:
        if destination.is_file() and fits(destination, checksum):
            return
        destination.parent.mkdir(parents=True, exist_ok=True)
        for attempt in range(attempts):
            if not left:
                break
            if attempt:
                sleep(2**attempt)
            tried = left.pop(0)
            try:
                _download(tried, part)
            except NETWORK_ERRORS as error:
                reason = str(error) or type(error).__name__
                if not _is_final(error):
                    left.append(tried)
                continue
            if fits(part, checksum):
                os.replace(part, destination)
                return
            part.unlink()  # nothing tells which of its bytes are wrong
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
    """Where :func:`fetch` looks for ``file``, which is at ``urls``: in the user's mirror first."""
    mirror = os.environ.get(MIRROR)
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


def _is_final(error: Exception) -> bool:
    """Whether this server will give the same answer again: it has no such file, or refuses to send it."""
    if isinstance(error, HTTPError):
        return 400 <= error.code < 500 and error.code not in TEMPORARY_STATUS
    return isinstance(error, URLError) and isinstance(error.reason, FileNotFoundError | IsADirectoryError)


def _download(url: str, part: Path) -> None:
    """Append to ``part`` what it lacks, or write it anew where the server cannot resume."""
    have = part.stat().st_size if part.exists() else 0
    request = Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        with urlopen(request, timeout=TIMEOUT) as response:
            resumed = response.status == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
            if response.status == 206 and not resumed:
                part.unlink()
                raise ConnectionError("the server resumed at the wrong byte")
            _stream(response, part, have if resumed else 0)
    except HTTPError as error:
        if not (error.code == 416 and have):  # 416: there is nothing after these bytes; the checksum decides
            raise


def _stream(response: HTTPResponse, part: Path, have: int) -> None:
    length = response.headers.get("Content-Length")
    total = have + int(length) if length is not None else None
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    console = Console(stderr=True)
    progress = Progress(*columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal)
    with part.open("ab" if have else "wb") as stream, progress:
        task = progress.add_task(part.name.removesuffix(".part"), total=total, completed=have)
        while block := response.read(BLOCK):
            stream.write(block)
            have += len(block)
            progress.update(task, completed=have)
    if total is not None and have < total:  # http.client ends quietly when the other side hangs up
        raise ConnectionError(f"the connection closed after {have} of {total} bytes")
