"""Text in CSV files that no spreadsheet is to take for a formula."""

from __future__ import annotations

FORMULAS = ("=", "+", "-", "@", "\t", "\r")  # so begins what Excel and LibreOffice compute, or would after an import


def as_text(cell: str) -> str:
    """``cell`` with an apostrophe before it where it would be a formula: of names that somebody chose, not of numbers.

    Source: OWASP, CSV Injection.
    """
    return f"'{cell}" if cell.startswith(FORMULAS) else cell
