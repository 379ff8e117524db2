"""What a check gives, and what checks ask: commands of this machine, and addresses on the network."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from subprocess import DEVNULL, TimeoutExpired, run
from threading import Thread
from typing import Literal
from urllib.error import HTTPError
from urllib.request import Request, urlopen

State = Literal["ok", "note", "warning", "missing"]
NO_HEAD = (405, 501)  # of a server that is there, and gives a file only whole


@dataclass(frozen=True)
class Check:
    """One line of the doctor's: a state, a sentence, and the shell command that fixes it, where there is one.

    ``missing`` is what the chosen runs need and do not have, ``warning`` what may spoil them, ``note`` what is good to
    know and stops nothing.
    """

    state: State
    message: str
    fix: str = ""


@dataclass(frozen=True)
class Section:
    """The checks under one heading."""

    title: str
    checks: tuple[Check, ...]


@dataclass(frozen=True)
class Answer:
    """What a command printed, and in words why it failed; no reason where it did not."""

    text: str
    reason: str = ""


def ask(*command: str, seconds: float = 5.0, folder: Path | None = None) -> Answer:
    """Run ``command`` in ``folder`` for at most ``seconds``; a failure is told, never raised.

    Slurm's commands answer within a second, or after minutes of trying.
    """
    try:
        done = run(
            command, cwd=folder, stdin=DEVNULL, capture_output=True, text=True, errors="replace", timeout=seconds
        )
    except TimeoutExpired:
        return Answer("", f"{command[0]} gave no answer within {seconds:g} seconds")
    except OSError as error:
        return Answer("", f"{command[0]} cannot be run ({error.strerror})")
    if done.returncode:
        told = last_line(done.stderr) if done.returncode > 0 else ""  # one that a signal ended did not know why
        return Answer(done.stdout, told or f"{command[0]} ended with code {done.returncode}")
    return Answer(done.stdout)


def last_line(text: str) -> str:
    """The last line of ``text`` that is not empty, where programs say what ended them."""
    return next((line.strip().rstrip(".") for line in reversed(text.splitlines()) if line.strip()), "")


def reachable(urls: Iterable[str], seconds: float = 3.0) -> set[str]:
    """Those of ``urls`` that answer within ``seconds``; all are asked at once, and nothing is downloaded."""
    answered: set[str] = set()

    def look(url: str) -> None:
        try:
            with urlopen(Request(url, method="HEAD"), timeout=seconds):
                answered.add(url)
        except HTTPError as error:
            if error.code in NO_HEAD:
                answered.add(url)
        except (HTTPException, OSError, ValueError):
            pass  # it is not among the answers

    until = time.monotonic() + seconds
    threads = [Thread(target=look, args=(url,), daemon=True) for url in set(urls)]  # names may take long to look up
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    return set(answered)


def count(number: int, noun: str) -> str:
    """``3 runs``, ``1 run``, ``no run``."""
    return f"{number:,} {noun}s" if number > 1 else f"{number or 'no'} {noun}"
