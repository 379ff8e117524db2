"""The paper's claims as data: one sentence each, where the paper says it, and the cells of tables that carry it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from fasa.errors import UserError, closest
from fasa.strict import Named, Strict, Text, entries, parse_entry
from fasa.study.artifacts import Figure, Row, Table, is_ours

MARGINS = ("not lower", "not higher")
LESS_VARIED = "less varied"


class Headroom(Strict):
    """Where the controls stand that show whether there is something to gain (or, for `lower`, to save) in a column."""

    table: str = Field(description="The table that has them below its line.")
    over: str | None = Field(
        None,
        description="The row that is their baseline. Without it they are those of the cells' own table with the "
        "baseline of each row; a row without such controls has none.",
    )


class Check(Strict):
    """Cells of one table, ``rows`` by ``columns``, each of which must show what is expected.

    A cell is compared with one thing: ``against``, ``over`` or ``than``; without any of them with its row's baseline.
    """

    table: str = Field(description="A table of configs/tables.")
    rows: tuple[str, ...] = Field(min_length=1, description="Ids of its rows.")
    columns: tuple[str, ...] = Field(min_length=1, description="Keys of its columns.")
    expect: Literal["higher", "lower", "not lower", "not higher", "at most", "less varied"] = Field(
        description="`higher` and `lower` are a difference above and below 0; `not lower` and `not higher` allow the "
        "table's tolerance; `at most` is a growth of no more than `percent`; `less varied` is a smaller standard "
        "deviation over the seeds than that of the other row."
    )
    against: str | None = Field(None, description="The row whose same column a cell is compared with.")
    over: tuple[str, ...] = Field((), description="The columns of its own row that a cell is compared with.")
    than: float | None = Field(None, description="The number that a cell is compared with.")
    percent: float | None = Field(None, gt=0, description="Of `at most`.")
    headroom: Headroom | None = Field(
        None, description="The controls without whose own gain a cell that is undecided has no headroom."
    )

    @model_validator(mode="after")
    def _one_comparison(self) -> Self:
        if sum([self.against is not None, bool(self.over), self.than is not None]) > 1:
            raise ValueError("a cell is compared with one thing: give 'against', 'over' or 'than'")
        if (self.expect == "at most") != (self.percent is not None):
            raise ValueError("'percent' goes with 'at most', and only with it")
        of_two_rows = self.than is None and not self.over
        if self.expect == LESS_VARIED and not of_two_rows:
            raise ValueError("'less varied' compares two rows: give 'against', or a row with a baseline")
        if self.headroom is not None and (self.expect not in ("higher", "lower") or not of_two_rows):
            raise ValueError("'headroom' goes with 'higher' and 'lower' of two rows")
        return self


class Claim(Named):
    """A claim of the paper, and the cells that decide it, or why none can."""

    of: tuple[str, ...] = Field(
        min_length=1, description="The tables and figures that it is of; the section of the first one tells of it."
    )
    says: Text = Field(description="What the paper says.")
    where: Text = Field(description="Where it says so.")
    main: bool = Field(False, description="It stands in the README.")
    note: str = Field("", description="What a reader must know of the verdict.")
    by_eye: str = Field("", description="Why no figure of a table can decide it.")
    cells: tuple[Check, ...] = Field((), description="What decides it.")

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
    artifacts: dict[str, Table | Figure] = {**tables, **figures}
    for name, content, where in entries(path, "claim"):
        claim = parse_entry(Claim, name, content, where)
        for one in claim.of:
            if one not in artifacts:
                raise UserError(f"{where} is of '{one}', which is no table or figure{closest(one, artifacts)}.")
            if is_ours(artifacts[one]):
                raise UserError(f"{where} is of '{one}', which is not the paper's; let its cells name that.")
        for check in claim.cells:
            _verify(check, tables, where)
        claims.append(claim)
    return tuple(claims)


def _verify(check: Check, tables: Mapping[str, Table], where: str) -> None:
    if check.table not in tables:
        raise UserError(f"{where} names an unknown table '{check.table}'{closest(check.table, tables)}.")
    table = tables[check.table]
    rows = {row.id: row for row in table.rows}
    columns = [column.key for column in table.columns]
    for row in (*check.rows, *([check.against] if check.against is not None else [])):
        if row not in rows:
            raise UserError(f"{where} names an unknown row '{row}' of table '{table.name}'{closest(row, rows)}.")
    for column in (*check.columns, *check.over):
        if column not in columns:
            told = f"names an unknown column '{column}' of table '{table.name}'{closest(column, columns)}"
            raise UserError(f"{where} {told}.")
    if not check.over and check.than is None and check.against is None:
        for row in check.rows:
            _has_baseline(rows[row], where)
    if check.expect in MARGINS and table.tolerance is None:
        raise UserError(f"{where} allows the tolerance of table '{table.name}', which has none; give it one.")
    if check.headroom is not None:
        _has_controls(check, check.headroom, tables, where)


def _has_baseline(row: Row, where: str) -> None:
    if row.baseline is None:
        raise UserError(f"{where} compares row '{row.id}', which has no baseline; say 'against' which row.")


def _has_controls(check: Check, headroom: Headroom, tables: Mapping[str, Table], where: str) -> None:
    if headroom.table not in tables:
        known = closest(headroom.table, tables)
        raise UserError(f"{where} takes its headroom from an unknown table '{headroom.table}'{known}.")
    table = tables[headroom.table]
    rows, columns = {row.id: row for row in table.rows}, [column.key for column in table.columns]
    if headroom.over is None and headroom.table != check.table:
        raise UserError(f"{where} takes its headroom from another table, '{table.name}'; say 'over' which row of it.")
    if headroom.over is not None and headroom.over not in rows:
        told = f"takes its headroom over an unknown row '{headroom.over}' of table '{table.name}'"
        raise UserError(f"{where} {told}{closest(headroom.over, rows)}.")
    baselines = [headroom.over] if headroom.over is not None else [rows[row].baseline for row in check.rows]
    if not any(table.controls_over(name) for name in baselines):
        over = f"row '{headroom.over}'" if headroom.over is not None else "the baselines of its rows"
        raise UserError(f"{where} takes its headroom from table '{table.name}', which has no control over {over}.")
    for column in check.columns:
        if column not in columns:
            raise UserError(f"{where} takes its headroom from table '{table.name}', which has no column '{column}'.")
