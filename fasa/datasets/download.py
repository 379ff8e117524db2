"""Fetch one file over a bad line: resume, retry, and trust nothing but the checksum."""

from __future__ import annotations

import hashlib
import os
import ssl
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from time import sleep
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from fasa.datasets.progress import progress_bar
from fasa.errors import UserError

TIMEOUT = 30  # seconds without a byte
BLOCK = 1 << 18  # bytes between two updates of the progress bar
NETWORK_ERRORS = (URLError, HTTPException, ConnectionError, TimeoutError, ssl.SSLError)
PASSING_STATUS = {408, 425, 429}  # client errors that another attempt may mend; the other 4xx are final


def fetch(url: str, destination: Path, md5: str, attempts: int = 5) -> None:
    """Download ``url`` to ``destination`` unless a file with that MD5 is there already.

    Bytes go to ``destination`` + ".part", which a later attempt or call resumes and which is renamed once its MD5 fits.

    Raises:
        UserError: no attempt brought the right bytes, or the folder cannot be written.
    """
    part = destination.with_name(f"{destination.name}.part")
    reason = ""
    try:
        if destination.is_file() and _md5(destination) == md5:
            return
        destination.parent.mkdir(parents=True, exist_ok=True)
        for attempt in range(attempts):
            if attempt:
                sleep(2**attempt)
            try:
                _download(url, part)
            except NETWORK_ERRORS as error:
                reason = str(error) or type(error).__name__
                if isinstance(error, HTTPError) and 400 <= error.code < 500 and error.code not in PASSING_STATUS:
                    break
                continue
            found = _md5(part)
            if found == md5:
                os.replace(part, destination)
                return
            part.unlink()  # nothing tells which of its bytes are wrong
            reason = f"its MD5 is {found}"
    except OSError as error:
        raise UserError(
            f"{destination} cannot be written ({error.strerror}): free some space or choose another folder."
        ) from error
    raise UserError(
        f"{url} could not be downloaded with MD5 {md5} ({reason}): "
        "check the network, or get the file elsewhere and pass --source PATH."
    )


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
        if not (error.code == 416 and have):  # 416: there is nothing after these bytes; the checksum judges them
            raise


def _stream(response: HTTPResponse, part: Path, have: int) -> None:
    length = response.headers.get("Content-Length")
    total = have + int(length) if length is not None else None
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with (
        part.open("ab" if have else "wb") as stream,
        progress_bar(*columns, TimeRemainingColumn()) as progress,
    ):
        task = progress.add_task(part.name.removesuffix(".part"), total=total, completed=have)
        while block := response.read(BLOCK):
            stream.write(block)
            have += len(block)
            progress.update(task, completed=have)
    if total is not None and have < total:  # http.client ends quietly when the other side hangs up
        raise ConnectionError(f"the connection closed after {have} of {total} bytes")


def _md5(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "md5").hexdigest()
