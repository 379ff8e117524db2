"""OUT/check.jsonl: a line of JSON for whatever is known, as soon as it is known; a later call reads what is there.

A line is about a part. ``begun`` and ``ended`` (its process's exit code) are the check's; ``what``, ``told`` and
numbers are what it found; ``failed`` is a sentence. A part with ``"ended": 0`` is finished, and not run again.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

NAME = "check.jsonl"


class Lines:
    """The lines of a folder ``out``."""

    def __init__(self, out: Path) -> None:
        self.path = out / NAME

    def add(self, part: str, **content: Any) -> None:
        """Write a line to the disk."""
        text = json.dumps({"part": part, **content}, allow_nan=False) + "\n"
        with self.path.open("ab+") as stream:
            if stream.tell() and not self.path.read_bytes().endswith(b"\n"):  # torn by a kill
                text = "\n" + text
            stream.write(text.encode())
            stream.flush()
            os.fsync(stream.fileno())

    def of(self, part: str) -> list[dict[str, Any]]:
        """The lines about ``part``, oldest first."""
        return [line for line in self._read() if line["part"] == part]

    def finished(self, part: str) -> bool:
        """Whether ``part`` ran to its end, in this call or before."""
        return any(line.get("ended") == 0 for line in self.of(part))

    def last_attempt(self, part: str) -> list[dict[str, Any]]:
        """The lines about ``part`` since it was last begun."""
        lines = self.of(part)
        begun = [number for number, line in enumerate(lines) if "begun" in line]
        return lines[begun[-1] :] if begun else []

    def told(self, part: str) -> list[str]:
        """What ``part`` found, a sentence each; of what was found twice, the last."""
        return list({line["what"]: line["told"] for line in self.of(part) if "what" in line}.values())

    def failures(self, part: str) -> list[str]:
        """What failed in the last attempt at ``part``, a sentence each."""
        return [line["failed"] for line in self.last_attempt(part) if "failed" in line]

    def _read(self) -> list[dict[str, Any]]:
        found = []
        for text in self.path.read_text().splitlines() if self.path.exists() else ():
            try:
                found.append(json.loads(text))
            except ValueError:  # torn by a kill, and so about something that did not end
                continue
        return found
