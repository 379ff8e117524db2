"""Whether what would be downloaded can be had from here: one short look at each address, all at once."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterable
from http.client import HTTPException
from threading import Thread
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

SECONDS = 3.0
NO_HEAD = (405, 501)  # of a server that is there, and gives a file only whole


def reachable(urls: Iterable[str], seconds: float = SECONDS) -> set[str]:
    """Those of ``urls`` that answer within so many ``seconds``; nothing of them is downloaded."""
    answered: set[str] = set()

    def look(url: str) -> None:
        try:
            with urlopen(Request(url, method="HEAD"), timeout=seconds):
                answered.add(url)
        except HTTPError as error:
            if error.code in NO_HEAD:
                answered.add(url)
        except (URLError, HTTPException, OSError, ssl.SSLError, ValueError):
            pass  # that it is not among the answers says all

    until = time.monotonic() + seconds
    threads = [Thread(target=look, args=(url,), daemon=True) for url in set(urls)]  # names may take long to look up
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    return set(answered)
