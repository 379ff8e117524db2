"""A printed table as LaTeX: the bare tabulars for a paper's own float, and floats of our own that show them.

Needs booktabs and siunitx. Widths are estimates from Computer Modern at 7 points, the size of the tables.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from fasa.reporting.best import RULE
from fasa.reporting.escapes import escape
from fasa.reporting.layout import Block, PrintedCell, PrintedTable
from fasa.study.artifacts import UNPUBLISHED, Figure

COLUMN, PAGE = 237.0, 496.0  # points: the widths of a column and of a page in two columns
WIDTHS = (("iljf.,:;'[]|!", 2.4), (" rst()-", 3.2), ("mM±+−×=<>→ΔΣ%W—", 6.6), ("ABCDEFGHKLNOPQRSTUVXYZ", 5.4))  # points
GAP = 6.0  # points between two columns of a table
NARROWEST = 48.0  # points: no label is wrapped to less
TALL = 40  # lines, from which on they are set closer to fit a page
NUMBER = re.compile(r"([+−]?\d+(?:\.\d+)?)((?: [±\[].*)?)")  # a mean, and its spread or interval
SAID_ONCE = "% Made by `fasa render`. Needs \\usepackage{booktabs,siunitx}; "
TABULARS = (
    SAID_ONCE + "shows all its parts, or with \\def\\fasapart{1} the first alone.\n\\providecommand{\\fasapart}{0}%\n"
)
FLOATS = (
    SAID_ONCE + "\\fasatables, if given, is the folder of NAME.tabular.tex as seen from the document, with its slash.\n"
    "\\providecommand{\\fasatables}{}%\n"
)


def render_tabulars(table: PrintedTable) -> str:
    """``NAME.tabular.tex``: a tabular for each block, without caption or float."""
    parts = []
    for number, block in enumerate(table.blocks, 1):
        apart = [r"\ifnum\fasapart=0 \par\medskip\fi"] * (number > 1)
        shown = rf"\ifnum\numexpr\fasapart*(\fasapart-{number})\relax=0 \noindent"
        parts += [*apart, shown, *_Grid(block).lines(), r"\fi"]
    return TABULARS + "\n".join(parts) + "\n"


def render_floats(table: PrintedTable) -> str:
    """``NAME.tex``: a ``table`` per block (``tab:NAME``, ``tab:NAME-2``, …) with its footnotes; ``table*`` if wide."""
    return FLOATS + "\n".join(_float(table, number) for number in range(len(table.blocks)))


def titled(artifact: PrintedTable | Figure) -> str:
    """How a caption begins: the title, and where it is printed, in words that follow a number of our own."""
    place = re.sub(r" \((.*)\)", r", \1", artifact.published_as)
    ours = place.lower().startswith(UNPUBLISHED)
    return f"{artifact.title} ({place})." if ours else f"{artifact.title} ({place} of Zang et al., 2021)."


def _float(table: PrintedTable, number: int) -> str:
    """What holds for all blocks is said below the first."""
    block, first = table.blocks[number], number == 0
    caption = f"{titled(table)} {table.caption}" if first else f"{table.title}, continued: {block.heading}."
    bold = any(cell.best for row in block.rows for line in row.lines for cell in line.cells)
    notes = [rf"\textsuperscript{{{mark}}} {escape(text)}\par" for mark, text in table.notes if mark in block.marks]
    remarks = [*[RULE] * bold, *(table.remarks if first else ())]
    name = "table*" if _Grid(block).wide else "table"
    return "\n".join(
        [
            rf"\begin{{{name}}}[t]",
            r"\centering",
            rf"\caption{{{escape(caption)}}}",
            rf"\label{{tab:{table.name}{'' if first else f'-{number + 1}'}}}",
            rf"\def\fasapart{{{number + 1}}}\input{{\fasatables {table.name}.tabular}}",
            r"\par\smallskip",
            r"\begin{minipage}{\linewidth}",
            r"\scriptsize\raggedright",
            *notes,
            *(rf"{escape(remark)}\par" for remark in remarks),
            r"\end{minipage}",
            rf"\end{{{name}}}",
            "",
        ]
    )


@dataclass(frozen=True)
class _Column:
    """One column of figures: means stand in a siunitx column, what follows them (spread, interval) in one beside it."""

    name: str
    cells: tuple[PrintedCell, ...]

    @cached_property
    def numbers(self) -> list[tuple[str, str]]:
        """(mean, rest) of the cells that are numbers."""
        return [(found[1], found[2]) for cell in self.cells if (found := NUMBER.fullmatch(cell.text))]

    @property
    def width(self) -> float:
        """Points."""
        bold = any(cell.best for cell in self.cells)
        mean = _points("0" * sum(self.digits) + "." * bool(self.digits[1]) + "+" * self.signed, bold)
        rest = max((_points(rest.strip(), bold) for _, rest in self.numbers), default=0)
        return max([mean + rest, *(_points(cell.text) for cell in self.cells), *map(_points, self._heading())])

    @property
    def digits(self) -> tuple[int, int]:
        """The most digits before and after the point."""
        parts = [mean.lstrip("+−").partition(".") for mean, _ in self.numbers]
        return max((len(whole) for whole, _, _ in parts), default=0), max(
            (len(part) for _, _, part in parts), default=0
        )

    @property
    def signed(self) -> bool:
        """Whether any mean has a sign."""
        return any(mean[0] in "+−" for mean, _ in self.numbers)

    @property
    def split(self) -> bool:
        """Whether it takes two columns of the tabular."""
        return bool(self.numbers) and (any(rest for _, rest in self.numbers) or any(cell.mark for cell in self.cells))

    @property
    def places(self) -> str:
        """Its letters of the tabular's preamble."""
        if not self.numbers:
            return "l"
        form = f"{'+' * self.signed}{self.digits[0]}.{self.digits[1]}"
        options = f"table-format={form},retain-explicit-plus,detect-weight,mode=text"
        return f"S[{options}]" + r"@{}l" * self.split

    @property
    def heading(self) -> str:
        """Its name, broken where it is wider than the figures."""
        name = r"\\".join("$n$" if part == "n" else escape(part) for part in self._heading())
        return self._whole(rf"\shortstack{{{name}}}" if r"\\" in name else name, "c" if self.numbers else "l")

    def _heading(self) -> list[str]:
        longest = max((len(cell.text) for cell in self.cells), default=0)
        return textwrap.wrap(self.name, max(longest, 9), break_long_words=False) or [""]

    def cell(self, cell: PrintedCell) -> str:
        """One of its cells."""
        mark = rf"\textsuperscript{{{cell.mark}}}" if cell.mark else ""
        found = NUMBER.fullmatch(cell.text)
        if not found or not self.numbers:
            return self._whole(escape(cell.text) + mark, "c" if self.numbers else "l")
        mean, rest = found.groups()
        bold = r"\bfseries " * cell.best
        mean = bold + mean.replace("−", "-")
        return f"{mean} & {bold if rest else ''}{_after(rest)}{mark}" if self.split else mean

    def _whole(self, text: str, place: str) -> str:
        """Over all that the column takes."""
        return rf"\multicolumn{{2}}{{{place}}}{{{text}}}" if self.split else f"{{{text}}}" if text else ""


class _Grid:
    """A block as a tabular that fits a column of a page, or else the page: labels are wrapped for it."""

    def __init__(self, block: Block) -> None:
        self.block = block
        lines = [line for row in block.rows for line in block.lines(row)]
        columns = list(zip(*lines, strict=True)) if lines else []
        self.labels = columns[: block.labels]
        self.columns = [
            _Column(name, cells) for name, cells in zip(block.columns, columns[block.labels :], strict=True)
        ]
        natural = [max(_points(cell.text) for cell in cells) for cells in self.labels]
        figures = sum(column.width + GAP for column in self.columns) + GAP * (len(natural) - 1)
        wrapped = block.labels - block.kinds  # what a line is of is never wrapped
        least = sum(min(width, NARROWEST) for width in natural[:wrapped]) + sum(natural[wrapped:])
        self.wide = figures + least > COLUMN
        excess = figures + sum(natural) - (PAGE if self.wide else COLUMN)
        self.wraps = [0.0] * len(natural)
        for index in sorted(range(wrapped), key=lambda index: -natural[index]):
            if excess > 0 and natural[index] > NARROWEST:
                self.wraps[index] = max(NARROWEST, natural[index] - excess)
                excess -= natural[index] - self.wraps[index]

    def lines(self) -> list[str]:
        """The tabular, in the size that the widths are of."""
        labels = [rf">{{\raggedright}}p{{{width:.0f}pt}}" if width else "l" for width in self.wraps]
        places = [*labels, *(column.places for column in self.columns)]
        width = len(labels) + sum(1 + column.split for column in self.columns)
        heading = rf"\multicolumn{{{width - len(labels)}}}{{c}}{{{escape(self.block.heading)}}}"
        blank = [""] * len(labels)
        closer = r"\renewcommand{\arraystretch}{.9}" * (sum(len(row.lines) for row in self.block.rows) > TALL)
        return [
            rf"{{\scriptsize\setlength{{\tabcolsep}}{{3pt}}{closer}%",
            rf"\begin{{tabular}}{{@{{}}{' '.join(places)}@{{}}}}",
            r"\toprule",
            _row([*blank, heading]),
            rf"\cmidrule(l){{{len(labels) + 1}-{width}}}",
            _row([*blank, *(column.heading for column in self.columns)]),
            r"\midrule",
            *self._body(width),
            r"\bottomrule",
            r"\end{tabular}}%",
        ]

    def _body(self, width: int) -> list[str]:
        printed: list[str] = []
        for row in self.block.rows:
            if row.opens_controls:
                printed += [r"\midrule"] if printed else []
                printed.append(_row([rf"\multicolumn{{{width}}}{{@{{}}l}}{{\emph{{Controls (nothing published)}}}}"]))
            elif printed and self.block.kinds:
                printed.append(r"\addlinespace[1.5pt]")
            printed += [self._line(line) for line in self.block.lines(row)]
        return printed

    def _line(self, cells: Sequence[PrintedCell]) -> str:
        labels = [
            escape(cell.text) + (rf"\textsuperscript{{{cell.mark}}}" if cell.mark else "")
            for cell in cells[: len(self.labels)]
        ]
        figures = [column.cell(cell) for column, cell in zip(self.columns, cells[len(self.labels) :], strict=True)]
        return _row([*labels, *figures])


def _after(rest: str) -> str:
    """A spread or an interval, with the space before it that it had."""
    return rf"\,{escape(rest.strip())}" if rest else ""


def _row(cells: Iterable[str]) -> str:
    return " & ".join(cells) + r" \\"


def _points(text: str, bold: bool = False) -> float:
    """About how wide ``text`` is at 7 points of Computer Modern; bold letters are wider."""
    return sum(next((width for letters, width in WIDTHS if letter in letters), 4.0) for letter in text) * (
        1.15 if bold else 1
    )
