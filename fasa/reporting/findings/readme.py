"""The findings' summary in the README: the main claims, between two markers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fasa.errors import UserError
from fasa.reporting.comparison import NOTHING
from fasa.reporting.findings import words
from fasa.reporting.findings.evidence import NOT_RUN
from fasa.reporting.findings.kept import Results
from fasa.reporting.findings.page import Paper, counts_in_words, findings_of, row, verdict_in_words
from fasa.reporting.markdown import escape

BEGIN, END = "<!-- findings -->", "<!-- /findings -->"
COLUMNS = ("What the paper says", "Published", "Ours", "Verdict")


def insert_summary(text: str, paper: Paper, kept: Sequence[Results], path: Path) -> str:
    """``text`` of the README at ``path`` with what stands between the markers made anew.

    Raises:
        UserError: the markers are not there, each once and in order.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or BEGIN in rest or END in before + after:
        raise UserError(f"{path} needs the lines {BEGIN} and {END}, each once and in this order, for the summary.")
    return f"{before}{BEGIN}\n{_summary(paper, kept)}\n{END}{after}"


def _summary(paper: Paper, kept: Sequence[Results]) -> str:
    lines = [row(COLUMNS), row(["---", "---:", "---:", "---"])]
    for claim in paper.claims:
        if not claim.main:
            continue
        says = escape(claim.says)
        found = findings_of(paper, claim, kept)
        if not found:
            lines.append(row([says, NOTHING, NOTHING, NOT_RUN]))
        for finding in found:
            ours = f"{words.our_range(finding)}, n = {words.seeds_range(finding)} ({finding.scale})"
            lines.append(row([says, *map(escape, (words.published_range(finding), ours)), verdict_in_words(finding)]))
            says = ""
    told = "Differences from the same without FASA (or from what the claim names), in the tables' units."
    counts = counts_in_words(paper, kept)
    return "\n".join([*lines, "", f"{told} {counts} All claims, cell by cell: [docs/findings.md](docs/findings.md)."])
