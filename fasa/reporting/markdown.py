"""A sheet as GitHub-flavoured Markdown."""

from __future__ import annotations

import re

from fasa.reporting.sheet import Block, Entry, Sheet


def escape(text: str) -> str:
    """Make ``text`` safe inside a Markdown table."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_|\[\]~])", r"\\\1", " ".join(text.split()))


def render_markdown(sheet: Sheet) -> str:
    """The sheet as a heading, one table per block, footnotes and remarks."""
    paragraphs = [f"### {escape(sheet.heading)}", escape(sheet.caption)]
    for block in sheet.blocks:
        paragraphs += [f"**{escape(block.heading)}**", "\n".join(_table(sheet, block))]
    if sheet.notes:
        paragraphs.append("<br>\n".join(f"<sup>{letter}</sup> {escape(text)}" for letter, text in sheet.notes))
    return "\n\n".join([*paragraphs, *map(escape, sheet.remarks)]) + "\n"


def _table(sheet: Sheet, block: Block) -> list[str]:
    labels = [""] * (2 if sheet.grouped else 1)
    rules = ["---" for _ in labels] + ["---" if name == "verdict" else "---:" for name in block.columns]
    rows = [_row([*labels, *map(escape, block.columns)]), _row(rules)]
    controls = False
    for line, group, entries in zip(sheet.lines, sheet.shown_groups(), block.entries, strict=True):
        if line.control and not controls:  # Markdown knows no rule between rows
            controls = True
            rows.append(_row(["*controls (nothing published)*", *[""] * (len(rules) - 1)]))
        first = [escape(group)] if sheet.grouped else []
        rows.append(_row([*first, escape(line.label), *map(_entry, entries)]))
    return rows


def _entry(entry: Entry) -> str:
    return escape(entry.text) + (f"<sup>{entry.mark}</sup>" if entry.mark else "")


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
