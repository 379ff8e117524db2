"""The figures that a text would quote, as LaTeX macros: ``numbers.tex``."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from fasa.errors import UserError
from fasa.reporting.cells import NOTHING, MeasuredTable, TableCell
from fasa.reporting.escapes import escape
from fasa.reporting.findings.evidence import JudgedClaim
from fasa.reporting.layout import decimals, interval, number, signed

HEADING = r"""% Numbers of scale {scale}, made by `fasa render paper` or `fasa findings`. \input it in the preamble.
% A name is \fasa, a table, a row, a column and what of it, as they are called in configs/tables, each word with a
% capital and each digit spelt: \fasaAblationFaFsMaskApAPrOurs is ablation, row fa_fs, column mask_ap.APr, our mean ±
% standard deviation. Of a cell there are, where they exist and in the column's unit:
%   Ours: mean ± standard deviation; Mean; Seeds: how many; Published: what the paper prints;
%   Difference: from the row's baseline, paired by seed; Interval: its 95 % interval;
%   PublishedDifference; Verdict.
% \fasaScale is the scale; \fasaClaims the number of claims, \fasaClaimsConfirmed, … how many have that verdict.
"""
DIGITS = ("Zero", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine")


def render(scale: str, tables: Iterable[MeasuredTable], judged: Sequence[JudgedClaim]) -> str:
    """The macros of all cells that have a run, and of the claims.

    Raises:
        UserError: two of them would have one name.
    """
    macros = [("fasaScale", scale), ("fasaClaims", str(len(judged)))]
    counts = Counter(one.verdict for one in judged)
    macros += [(macro_name("Claims", verdict), str(counts[verdict])) for verdict in sorted(counts)]
    for table in tables:
        macros += [macro for cell in table.cells.values() if cell.ours.n for macro in _of_cell(table, cell)]
    for name, count in Counter(name for name, _ in macros).items():
        if count > 1:
            raise UserError(f"numbers.tex would have two macros \\{name}; rename a row or a column in configs/tables.")
    lines = [rf"\newcommand{{\{name}}}{{{escape(value)}}}" for name, value in macros]
    return HEADING.replace("{scale}", scale) + "\n".join(lines) + "\n"


def macro_name(*parts: str) -> str:
    """The name of a macro, without its backslash: ``fasa`` and letters alone."""
    words = re.findall(r"[A-Za-z]+|\d", " ".join(parts))
    return "fasa" + "".join(DIGITS[int(word)] if word.isdigit() else word[0].upper() + word[1:] for word in words)


def _of_cell(table: MeasuredTable, cell: TableCell) -> Iterator[tuple[str, str]]:
    digits, difference = decimals(cell.column), cell.difference
    values = {
        "Ours": number(cell.ours.mean, cell.ours.std, digits, digits),
        "Mean": number(cell.ours.mean, None, digits, digits),
        "Seeds": str(cell.ours.n),
        "Published": number(cell.published, cell.published_std, cell.column.decimals, 2),
        "Difference": signed(difference.mean if difference else None, digits),
        "Interval": interval(difference, digits),
        "PublishedDifference": signed(cell.published_difference, cell.column.decimals),
        "Verdict": cell.verdict,
    }
    for what, value in values.items():
        if value not in ("", NOTHING):
            yield macro_name(table.table.name, cell.row.id, cell.column.key, what), value
