"""Layout of a study's cells in rows and columns: one factor as columns, the others as rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from analysis.io.load import PlannedStudy
from trainables.common.errors import UserError, did_you_mean

REFERENCE = "random"
BASE = "base"
"""Row title of an ablation's unchanged cell."""

FRACTION, COUNT = "label_fraction", "labels"
"""Factors that set the amount of labels: as a fraction, or as a number of subjects."""


@dataclass(frozen=True)
class Grid:
    """Arrangement of cells in rows and columns.

    Attributes:
        row_factors: factors of the rows; their joined levels are the row titles.
        column_factor: factor of the columns; None for a single column.
        rows: titles of the rows, in the study file's order.
        columns: levels of the column factor, in the study file's order; one empty level without a column factor.
        cells: cell key by (row, column).
        references: reference row of each row, whose levels differ in the reference level only.
    """

    row_factors: tuple[str, ...]
    column_factor: str | None
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    cells: Mapping[tuple[str, str], str]
    references: Mapping[str, str]

    @property
    def row_header(self) -> str:
        """Header of the row titles."""
        return ", ".join(self.row_factors) or "cell"

    @property
    def smallest(self) -> str:
        """Column with the fewest labels; the first column where columns are not amounts."""
        amounts = self.amounts
        return self.columns[amounts.index(min(amounts))] if amounts else self.columns[0]

    @property
    def amounts(self) -> list[float]:
        """Columns as positive numbers; empty where one is not a positive number."""
        try:
            values = [float(level) for level in self.columns]
        except ValueError:
            return []
        return values if min(values) > 0 else []

    @property
    def label_amounts(self) -> list[float]:
        """Columns as positive amounts of labels; empty where the columns are something else."""
        return self.amounts if self.column_factor in (FRACTION, COUNT) else []

    def label_share(self, column: str) -> float | None:
        """Return a column's share of the labels; None where columns are no shares."""
        return float(column) if self.column_factor == FRACTION and self.amounts else None

    def column_title(self, column: str) -> str:
        """Return a column's level in words: "5% labels" for label_fraction 0.05, "4 labelled subjects" for labels 4."""
        if self.column_factor is None:
            return "all"
        if self.column_factor == FRACTION and self.amounts:
            return f"{100 * float(column):g}% labels"
        if self.column_factor == COUNT and self.amounts:
            return f"{float(column):g} labelled subject{'s' * (float(column) != 1)}"
        return f"{self.column_factor} {column}"

    @property
    def row_of(self) -> dict[str, str]:
        """Row title by cell key."""
        return {cell: row for (row, _), cell in self.cells.items()}

    def at(self, column: str) -> str:
        """Return a column as a phrase such as " at 5% labels"; empty without a column factor."""
        return f" at {self.column_title(column)}" if self.column_factor is not None else ""

    def row_cells(self, row: str) -> list[str]:
        """Return the cells of one row, in the order of the columns."""
        return [self.cells[row, column] for column in self.columns if (row, column) in self.cells]


def arrange(
    plan: PlannedStudy,
    rows: str | tuple[str, ...] | None = None,
    columns: str | None = None,
    reference: str = REFERENCE,
) -> Grid:
    """Arrange a plan's cells in rows and columns.

    Args:
        plan: plan of the study.
        rows: factor or factors of the rows; None for all but the column factor.
        columns: factor of the columns; None for label_fraction or labels where the study has it, else the last of
            several factors.
        reference: level with which the other rows are compared, in the row factor that has it.

    Raises:
        UserError: a factor is unknown, or one with several levels is in neither rows nor columns.
    """
    across = columns if columns is not None else _default_columns(plan)
    down = tuple(f for f in plan.factors if f != across) if rows is None else (rows,) if isinstance(rows, str) else rows
    _check(plan, down, across)
    titles = {key: _title(plan, levels, down) for key, levels in plan.cells.items()}
    level = {key: levels[across] if across else "" for key, levels in plan.cells.items()}
    return Grid(
        row_factors=down,
        column_factor=across,
        rows=tuple(dict.fromkeys(titles.values())),
        columns=tuple(c for c in plan.factors[across] if c in level.values()) if across else ("",),
        cells={(titles[key], level[key]): key for key in plan.cells},
        references=_references(plan, down, reference),
    )


def _default_columns(plan: PlannedStudy) -> str | None:
    for amount in (FRACTION, COUNT):
        if amount in plan.factors:
            return amount
    crossed = [factor for factor in plan.factors if factor not in plan.base]
    return crossed[-1] if len(crossed) > 1 else None


def _check(plan: PlannedStudy, down: tuple[str, ...], across: str | None) -> None:
    used = (*down, *((across,) if across else ()))
    for factor in used:
        if factor not in plan.factors:
            raise UserError(f"study '{plan.name}' has no factor '{factor}'{did_you_mean(factor, plan.factors)}")
    for factor, levels in plan.factors.items():
        if factor not in used and len(levels) > 1:
            raise UserError(
                f"factor '{factor}' of study '{plan.name}' has {len(levels)} levels but is neither in rows nor columns"
            )


def _title(plan: PlannedStudy, levels: Mapping[str, str], factors: tuple[str, ...]) -> str:
    """Return a row title: the levels' names without those that all share; in an ablation, the changes from its base."""
    crossed = [levels[factor] for factor in factors if factor not in plan.base and len(plan.factors[factor]) > 1]
    changed = [f"{f} {levels[f]}" for f in factors if f in plan.base and levels[f] != plan.base[f]]
    if any(factor in plan.base for factor in factors) and not changed:
        changed = [BASE]
    return ", ".join([*crossed, *changed]) or ", ".join(levels[factor] for factor in factors) or "all"


def _references(plan: PlannedStudy, down: tuple[str, ...], reference: str) -> dict[str, str]:
    factor = next((f for f in down if reference in plan.factors[f] and f not in plan.base), None)
    partner_of = dict(plan.base) if plan.base else {factor: reference} if factor is not None else {}
    if not partner_of:
        return {}
    rows = {_title(plan, levels, down) for levels in plan.cells.values()}
    pairs = {
        _title(plan, levels, down): _title(plan, {**levels, **partner_of}, down)
        for levels in plan.cells.values()
        if any(levels[f] != level for f, level in partner_of.items())
    }
    return {row: partner for row, partner in pairs.items() if partner in rows}
