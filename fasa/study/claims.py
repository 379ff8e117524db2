"""The paper's claims as data: one sentence each, where the paper says it, and the cells of tables that carry it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from fasa.errors import UserError
from fasa.strict import Strict, parse, read_yaml
from fasa.study.artifacts import Figure, Row, Table, is_ours

MARGINS = ("not lower", "not higher")


class Check(Strict):
    """Cells of one table, ``rows`` by ``columns`` (their keys), each of which must show what is expected.

    A cell is compared with the same column of the row ``against`` (without it, of the row's own baseline), or with the
    columns ``over`` of its own row, or with the number ``than``. ``higher`` and ``lower`` are a difference above and
    below 0; ``not lower`` and ``not higher`` allow the table's tolerance; ``at most`` is a growth of no more than
    ``percent``.
    """

    table: str
    rows: tuple[str, ...] = Field(min_length=1)
    columns: tuple[str, ...] = Field(min_length=1)
    expect: Literal["higher", "lower", "not lower", "not higher", "at most"]
    against: str | None = None
    over: tuple[str, ...] = ()
    than: float | None = None
    percent: float | None = Field(None, gt=0)

    @model_validator(mode="after")
    def _one_comparison(self) -> Self:
        if sum([self.against is not None, bool(self.over), self.than is not None]) > 1:
            raise ValueError("a cell is compared with one thing: give 'against', 'over' or 'than'")
        if (self.expect == "at most") != (self.percent is not None):
            raise ValueError("'percent' goes with 'at most', and only with it")
        return self


class Claim(Strict):
    """A claim: what the paper ``says`` and ``where``, of which tables and figures; the first one's section tells of it.

    ``by_eye`` says why no figure of a table can decide it; a ``main`` claim stands in the README.
    """

    name: str
    of: tuple[str, ...] = Field(min_length=1)
    says: str
    where: str
    main: bool = False
    note: str = ""
    by_eye: str = ""
    cells: tuple[Check, ...] = ()

    @model_validator(mode="after")
    def _decidable(self) -> Self:
        if bool(self.by_eye) == bool(self.cells):
            raise ValueError("it needs 'cells' that decide it, or 'by_eye', why none can")
        return self


def load_claims(path: Path, tables: Mapping[str, Table], figures: Mapping[str, Figure]) -> tuple[Claim, ...]:
    """All claims of the file ``path``, in its order.

    Raises:
        UserError: an unknown key, table, figure, row or column, or a cell that has nothing to be compared with.
    """
    claims = []
    for name, content in read_yaml(path).items():
        where = f"{path}: claim '{name}'"
        claim = parse(Claim, {**content, "name": name}, where)
        for of in claim.of:
            if of not in tables and of not in figures:
                raise UserError(f"{where} is of '{of}', which is no table or figure.")
            artifact = tables[of] if of in tables else figures[of]
            if is_ours(artifact):
                raise UserError(f"{where} is of '{of}', which is not the paper's; let its cells name that.")
        for check in claim.cells:
            _verify(check, tables, where)
        claims.append(claim)
    return tuple(claims)


def _verify(check: Check, tables: Mapping[str, Table], where: str) -> None:
    if check.table not in tables:
        raise UserError(f"{where} names an unknown table '{check.table}'.")
    table = tables[check.table]
    rows = {row.id: row for row in table.rows}
    columns = [column.key for column in table.columns]
    for row in (*check.rows, *([check.against] if check.against is not None else [])):
        if row not in rows:
            raise UserError(f"{where} names an unknown row '{row}' of table '{table.name}'.")
    for column in (*check.columns, *check.over):
        if column not in columns:
            raise UserError(f"{where} names an unknown column '{column}' of table '{table.name}'.")
    if not check.over and check.than is None and check.against is None:
        for row in check.rows:
            _has_baseline(rows[row], where)
    if check.expect in MARGINS and table.tolerance is None:
        raise UserError(f"{where} allows the tolerance of table '{table.name}', which has none; give it one.")


def _has_baseline(row: Row, where: str) -> None:
    if row.baseline is None:
        raise UserError(f"{where} compares row '{row.id}', which has no baseline; say 'against' which row.")
