"""A sheet as a LaTeX table: needs nothing beyond the booktabs package."""

from __future__ import annotations

import unicodedata

from fasa.reporting.sheet import Block, Entry, Sheet

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


def render_latex(sheet: Sheet) -> str:
    """The sheet as one ``table`` environment per block (``tab:NAME``, ``tab:NAME-2``, …), each with its footnotes."""
    return "\n".join(_table(sheet, number) for number in range(len(sheet.blocks)))


def _table(sheet: Sheet, number: int) -> str:
    """One block, centred even where it is wider than the text; what holds for all blocks is said below the first."""
    block = sheet.blocks[number]
    labels = 2 if sheet.grouped else 1
    width = labels + len(block.columns)
    alignment = "l" * labels + "".join("l" if name == "verdict" else "r" for name in block.columns)
    names = ["$n$" if name == "n" else escape(name) for name in block.columns]
    heading = rf"\multicolumn{{{len(block.columns)}}}{{c}}{{{escape(block.heading)}}}"
    caption = sheet.caption if number == 0 else f"Continued: {block.heading}."
    lines = [
        r"\begin{table}[t]",
        r"\centering",
        rf"\caption{{{escape(sheet.heading)}. {escape(caption)}}}",
        rf"\label{{tab:{sheet.name}{f'-{number + 1}' if number else ''}}}",
        r"\scriptsize",
        r"\setlength{\tabcolsep}{3pt}",
        rf"\makebox[\linewidth]{{\begin{{tabular}}{{@{{}}{alignment}@{{}}}}",
        r"\toprule",
        _row([*[""] * labels, heading]),
        rf"\cmidrule(l){{{labels + 1}-{width}}}",
        _row([*[""] * labels, *names]),
        r"\midrule",
        *_body(sheet, block, width),
        r"\bottomrule",
        r"\end{tabular}}",
        r"\par\smallskip",
        r"\begin{minipage}{\linewidth}",
        r"\scriptsize\raggedright",
        *(rf"\textsuperscript{{{mark}}} {escape(text)}\par" for mark, text in sheet.notes if mark in block.marks),
        *(rf"{escape(remark)}\par" for remark in sheet.remarks if number == 0),
        r"\end{minipage}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _body(sheet: Sheet, block: Block, width: int) -> list[str]:
    rows: list[str] = []
    controls = False
    for line, group, entries in zip(sheet.lines, sheet.shown_groups(), block.entries, strict=True):
        if line.control and not controls:
            controls = True
            rows += [r"\midrule"] if rows else []
            rows.append(_row([rf"\multicolumn{{{width}}}{{@{{}}l}}{{\emph{{Controls (nothing published)}}}}"]))
        labels = [escape(group), escape(line.label)] if sheet.grouped else [escape(line.label)]
        rows.append(_row([*labels, *map(_entry, entries)]))
    return rows


def _entry(entry: Entry) -> str:
    return escape(entry.text) + (rf"\textsuperscript{{{entry.mark}}}" if entry.mark else "")


def _row(cells: list[str]) -> str:
    return " & ".join(cells) + r" \\"


def _plain(character: str) -> str:
    if ord(character) < 0x180:  # Latin letters: known to LaTeX's own UTF-8 tables
        return character if character.isprintable() else " "
    return unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode() or "?"
