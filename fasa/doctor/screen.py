"""The doctor's findings on a terminal, in a file, or for a program."""

from __future__ import annotations

import json
import textwrap
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.text import Text

from fasa.doctor.finding import Finding, Section, count

if TYPE_CHECKING:
    from rich.console import Console

STYLES = {"ok": "green", "note": "dim", "warning": "yellow", "missing": "bold red"}
WIDEST = max(map(len, STYLES))
GAP = "  "


def states(sections: Sequence[Section]) -> Counter[str]:
    """How many findings are in which state."""
    return Counter(finding.state for section in sections for finding in section.findings)


def show(sections: Sequence[Section], title: str, console: Console) -> None:
    """Print a line for each finding, its command below it."""
    console.print(Text(title))
    for section in sections:
        console.print()
        console.print(Text(section.title, style="bold"))
        for finding in section.findings:
            for line in _lines(finding, console.width if console.is_terminal else None):
                console.print(line, soft_wrap=True)
    console.print()
    console.print(verdict(sections))


def _lines(finding: Finding, width: int | None) -> list[Text]:
    """A finding in lines of ``width``; its sentence whole where a file or a pipe, which has none, may be searched."""
    place = WIDEST + len(GAP)
    words = (
        textwrap.wrap(finding.what, max(20, width - place), break_long_words=False, break_on_hyphens=False)
        if width
        else [finding.what]
    )
    lines = [Text.assemble((f"{finding.state:{WIDEST}}", STYLES[finding.state]), GAP, words[0])]
    lines += [Text(" " * place + more) for more in words[1:]]
    # A command is never broken: what is copied is to run.
    return lines + ([Text(f"{'':{place}}$ {finding.mend}", style="cyan")] if finding.mend else [])


def verdict(sections: Sequence[Section]) -> Text:
    """The last line: whether anything that is needed is missing."""
    counts = states(sections)
    warned = f"; {count(counts['warning'], 'warning')}" if counts["warning"] else ""
    if counts["missing"]:
        return Text(f"{count(counts['missing'], 'thing')} missing{warned}.", style=STYLES["missing"])
    return Text(f"Nothing that is needed is missing{warned}.", style=STYLES["warning" if warned else "ok"])


def as_json(sections: Sequence[Section], scale: str, names: Sequence[str]) -> str:
    """The same for a program: sections with their findings, and how many are missing and warned of."""
    counts = states(sections)
    document = {
        "scale": scale,
        "names": list(names),
        "missing": counts["missing"],
        "warnings": counts["warning"],
        "sections": [asdict(section) for section in sections],
    }
    return json.dumps(document, indent=1, ensure_ascii=False)
