"""The doctor's checks on a terminal, in a file, or for a program."""

from __future__ import annotations

import json
import textwrap
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.text import Text

from fasa.doctor.check import Check, Section, count

if TYPE_CHECKING:
    from rich.console import Console

STYLES = {"ok": "green", "note": "dim", "warning": "yellow", "missing": "bold red"}
WIDEST = max(map(len, STYLES))
GAP = "  "


def states(sections: Sequence[Section]) -> Counter[str]:
    """How many checks are in which state."""
    return Counter(check.state for section in sections for check in section.checks)


def show(sections: Sequence[Section], title: str, console: Console) -> None:
    """Print a line for each check, its command below it."""
    console.print(Text(title))
    for section in sections:
        console.print()
        console.print(Text(section.title, style="bold"))
        for check in section.checks:
            for line in _lines(check, console.width if console.is_terminal else None):
                console.print(line, soft_wrap=True)
    console.print()
    console.print(verdict(sections))


def _lines(check: Check, width: int | None) -> list[Text]:
    """A check in lines of ``width``; its sentence whole where a file or a pipe, which has none, may be searched."""
    place = WIDEST + len(GAP)
    words = (
        textwrap.wrap(check.message, max(20, width - place), break_long_words=False, break_on_hyphens=False)
        if width
        else [check.message]
    )
    lines = [Text.assemble((f"{check.state:{WIDEST}}", STYLES[check.state]), GAP, words[0])]
    lines += [Text(" " * place + more) for more in words[1:]]
    # A command is never broken: what is copied is to run.
    return lines + ([Text(f"{'':{place}}$ {check.fix}", style="cyan")] if check.fix else [])


def verdict(sections: Sequence[Section]) -> Text:
    """The last line: whether anything that is needed is missing."""
    counts = states(sections)
    warned = f"; {count(counts['warning'], 'warning')}" if counts["warning"] else ""
    if counts["missing"]:
        return Text(f"{count(counts['missing'], 'thing')} missing{warned}.", style=STYLES["missing"])
    return Text(f"Nothing that is needed is missing{warned}.", style=STYLES["warning" if warned else "ok"])


def as_json(sections: Sequence[Section], scale: str, names: Sequence[str]) -> str:
    """The same for a program: sections with their checks, and how many are missing and warned of."""
    counts = states(sections)
    document = {
        "scale": scale,
        "names": list(names),
        "missing": counts["missing"],
        "warnings": counts["warning"],
        "sections": [
            {
                "title": section.title,
                "findings": [{"state": one.state, "what": one.message, "mend": one.fix} for one in section.checks],
            }
            for section in sections
        ],
    }
    return json.dumps(document, indent=1, ensure_ascii=False)
