"""A sheet as GitHub-flavoured Markdown."""

from __future__ import annotations

import re

from fasa.reporting.blocks import Block
from fasa.reporting.entries import Entry
from fasa.reporting.sheet import Sheet


def escape(text: str) -> str:
    """Make ``text`` safe inside a Markdown table."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_|\[\]~])", r"\\\1", " ".join(text.split()))


def render_markdown(sheet: Sheet) -> str:
    """The sheet as a heading, one table per block, footnotes and remarks."""
    paragraphs = [f"### {escape(sheet.heading)}", escape(sheet.caption)]
    for block in sheet.blocks:
        paragraphs += [f"**{escape(block.heading)}**", "\n".join(_table(block))]
    if sheet.notes:
        paragraphs.append("<br>\n".join(f"<sup>{letter}</sup> {escape(text)}" for letter, text in sheet.notes))
    return "\n\n".join([*paragraphs, *map(escape, sheet.remarks)]) + "\n"


def _table(block: Block) -> list[str]:
    rules = ["---"] * block.labels + ["---" if name == "verdict" else "---:" for name in block.columns]
    printed = [_row([*[""] * block.labels, *map(escape, block.columns)]), _row(rules)]
    controls = False
    for row, group in zip(block.rows, block.shown_groups(), strict=True):
        if row.control and not controls:  # Markdown knows no rule between rows
            controls = True
            printed.append(_row(["*controls (nothing published)*", *[""] * (len(rules) - 1)]))
        head = [escape(group)] if block.grouped else []
        head.append(escape(row.label))
        for line in row.lines:
            kind = [_entry(line.kind)] if block.kinds else []
            printed.append(_row([*head, *kind, *map(_entry, line.entries)]))
            head = [""] * len(head)
    return printed


def _entry(entry: Entry) -> str:
    return escape(entry.text) + (f"<sup>{entry.mark}</sup>" if entry.mark else "")


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
