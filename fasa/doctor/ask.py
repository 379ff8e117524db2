"""Ask a command of this machine, which may be absent, silent or cross."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass

SECONDS = 5.0  # that a command may take: Slurm's answer within one, or after minutes of trying


@dataclass(frozen=True)
class Answer:
    """What a command printed, and in words why it failed; no reason where it did not."""

    text: str
    reason: str = ""

    @property
    def good(self) -> bool:
        return not self.reason


def ask(*command: str, seconds: float = SECONDS) -> Answer:
    """Run ``command`` for at most so many ``seconds``; whatever becomes of it is told, never raised."""
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=seconds
        )
    except subprocess.TimeoutExpired:
        return Answer("", f"{command[0]} gave no answer within {seconds:g} seconds")
    except OSError as error:
        return Answer("", f"{command[0]} cannot be run ({error.strerror})")
    if done.returncode:
        return Answer(done.stdout, last_line(done.stderr) or f"{command[0]} ended with code {done.returncode}")
    return Answer(done.stdout)


def last_line(text: str) -> str:
    """The last line of ``text`` that is not empty, where programs say what ended them."""
    return next((line.strip().rstrip(".") for line in reversed(text.splitlines()) if line.strip()), "")
