"""A printed table as LaTeX: needs nothing beyond the booktabs package."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from fasa.reporting.layout import Block, PrintedCell, PrintedTable

_GREEK = {
    "α": "alpha",
    "β": "beta",
    "γ": "gamma",
    "δ": "delta",
    "ε": "varepsilon",
    "λ": "lambda",
    "μ": "mu",
    "µ": "mu",
    "π": "pi",
    "ρ": "rho",
    "σ": "sigma",
    "τ": "tau",
    "φ": "varphi",
    "Δ": "Delta",
    "Σ": "Sigma",
}
_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": "$<$",
    ">": "$>$",
    "|": "$|$",
    '"': "''",
    **{character: f"\\{character}" for character in "&%$#_"},
    "[": "{[}",  # a "[" after a line's end would be read as that line's optional argument
    "]": "{]}",
    "—": "---",
    "–": "--",
    "−": "$-$",
    "±": r"$\pm$",
    "×": r"$\times$",
    "·": r"$\cdot$",
    "≤": r"$\le$",
    "≥": r"$\ge$",
    "→": r"$\to$",
    "…": r"\dots{}",
    "’": "'",
    "‘": "`",
    "“": "``",
    "”": "''",
    "\u00a0": "~",
    **{letter: f"$\\{name}$" for letter, name in _GREEK.items()},
}


def escape(text: str) -> str:
    """Make ``text`` safe in LaTeX's text mode; a character unknown to plain pdflatex becomes its ASCII likeness."""
    following = [*text[1:], ""]
    return "".join(
        "-{}"
        if character == after == "-"
        else _SPECIAL.get(character) or _plain(character)  # "--" is an option, no dash
        for character, after in zip(text, following, strict=False)
    )


def render(table: PrintedTable) -> str:
    """One ``table`` environment per block (``tab:NAME``, ``tab:NAME-2``, …), each with its footnotes."""
    return "\n".join(_environment(table, number) for number in range(len(table.blocks)))


def _environment(table: PrintedTable, number: int) -> str:
    """One block, centred even where it is wider than the text; what holds for all blocks is said below the first."""
    block = table.blocks[number]
    width = block.labels + len(block.columns)
    alignment = "l" * block.labels + "".join("l" if name == "verdict" else "r" for name in block.columns)
    names = ["$n$" if name == "n" else escape(name) for name in block.columns]
    heading = rf"\multicolumn{{{len(block.columns)}}}{{c}}{{{escape(block.heading)}}}"
    caption = table.caption if number == 0 else f"Continued: {block.heading}."
    lines = [
        r"\begin{table}[t]",
        r"\centering",
        rf"\caption{{{escape(table.heading)}. {escape(caption)}}}",
        rf"\label{{tab:{table.name}{f'-{number + 1}' if number else ''}}}",
        r"\scriptsize",
        r"\setlength{\tabcolsep}{3pt}",
        rf"\makebox[\linewidth]{{\begin{{tabular}}{{@{{}}{alignment}@{{}}}}",
        r"\toprule",
        _row([*[""] * block.labels, heading]),
        rf"\cmidrule(l){{{block.labels + 1}-{width}}}",
        _row([*[""] * block.labels, *names]),
        r"\midrule",
        *_body(block, width),
        r"\bottomrule",
        r"\end{tabular}}",
        r"\par\smallskip",
        r"\begin{minipage}{\linewidth}",
        r"\scriptsize\raggedright",
        *(rf"\textsuperscript{{{mark}}} {escape(text)}\par" for mark, text in table.notes if mark in block.marks),
        *(rf"{escape(remark)}\par" for remark in table.remarks if number == 0),
        r"\end{minipage}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _body(block: Block, width: int) -> list[str]:
    printed: list[str] = []
    for row in block.rows:
        if row.opens_controls:
            printed += [r"\midrule"] if printed else []
            printed.append(_row([rf"\multicolumn{{{width}}}{{@{{}}l}}{{\emph{{Controls (nothing published)}}}}"]))
        elif printed and block.kinds:
            printed.append(r"\addlinespace")
        printed += [_row(map(_cell, line)) for line in block.lines(row)]
    return printed


def _cell(cell: PrintedCell) -> str:
    return escape(cell.text) + (rf"\textsuperscript{{{cell.mark}}}" if cell.mark else "")


def _row(cells: Iterable[str]) -> str:
    return " & ".join(cells) + r" \\"


def _plain(character: str) -> str:
    if ord(character) < 0x180:  # Latin letters: known to LaTeX's own UTF-8 tables
        return character if character.isprintable() else " "
    return unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode() or "?"
