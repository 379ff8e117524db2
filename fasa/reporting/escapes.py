"""Text made safe for LaTeX."""

from __future__ import annotations

import unicodedata

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


def _plain(character: str) -> str:
    if ord(character) < 0x180:  # Latin letters: known to LaTeX's own UTF-8 tables
        return character if character.isprintable() else " "
    return unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode() or "?"
