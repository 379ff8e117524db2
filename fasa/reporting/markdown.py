"""A printed table as GitHub-flavoured Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from fasa.errors import UserError
from fasa.reporting.layout import Block, PrintedCell, PrintedTable


def escape(text: str) -> str:
    """Make ``text`` safe inside a Markdown table."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_|\[\]~])", r"\\\1", " ".join(text.split()))


def line(cells: Iterable[str]) -> str:
    """A line of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def insert(text: str, name: str, lines: Iterable[str], path: Path) -> str:
    """``text`` of the page at ``path`` with ``lines`` between its comments ``name`` and ``/name``.

    Raises:
        UserError: they are not there, each once and in this order.
    """
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed or begin in rest or end in before + after:
        raise UserError(f"{path} needs the lines {begin} and {end}, each once and in this order.")
    return "\n".join([f"{before}{begin}", *lines, f"{end}{after}"])


def render(table: PrintedTable) -> str:
    """A heading, one table per block, footnotes and remarks."""
    paragraphs = [f"### {escape(table.heading)}", *([escape(table.caption)] if table.caption else [])]
    for block in table.blocks:
        paragraphs += [f"**{escape(block.heading)}**", "\n".join(_grid(block))]
    if table.notes:
        paragraphs.append("<br>\n".join(f"<sup>{letter}</sup> {escape(text)}" for letter, text in table.notes))
    return "\n\n".join([*paragraphs, *map(escape, table.remarks)]) + "\n"


def _grid(block: Block) -> list[str]:
    rules = ["---"] * block.labels + ["---" if name == "verdict" else "---:" for name in block.columns]
    printed = [line([*[""] * block.labels, *map(escape, block.columns)]), line(rules)]
    for row in block.rows:
        if row.opens_controls:  # Markdown knows no rule between rows
            printed.append(line(["*controls (nothing published)*", *[""] * (len(rules) - 1)]))
        printed += [line(map(_cell, cells)) for cells in block.lines(row)]
    return printed


def _cell(cell: PrintedCell) -> str:
    return escape(cell.text) + (f"<sup>{cell.mark}</sup>" if cell.mark else "")
