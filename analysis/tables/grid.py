"""A study's cells laid out in rows and columns: one factor across, the others down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from analysis.io.load import PlannedStudy
from trainables.common.errors import UserError, did_you_mean

REFERENCE = "random"
BASE = "base"
"""What an ablation's cell is called that has nothing changed."""

FRACTION, COUNT = "label_fraction", "labels"
"""Factors that say how many labels there are: as a share, or as a number of subjects."""


@dataclass(frozen=True)
class Grid:
    """Which cell is where.

    Attributes:
        row_factors: the factors down; their levels, joined, title the rows.
        column_factor: the factor across, or None for a single column.
        rows: titles of the rows, in the study file's order.
        columns: levels of the column factor, in the study file's order; one empty level when there is none.
        cells: cell key by (row, column).
        references: by row, the row that it is compared with: the same levels but for the reference level.
    """

    row_factors: tuple[str, ...]
    column_factor: str | None
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    cells: Mapping[tuple[str, str], str]
    references: Mapping[str, str]

    @property
    def row_header(self) -> str:
        """What the rows are."""
        return ", ".join(self.row_factors) or "cell"

    @property
    def smallest(self) -> str:
        """The column with the fewest labels; the first one when columns are not amounts."""
        amounts = self.amounts
        return self.columns[amounts.index(min(amounts))] if amounts else self.columns[0]

    @property
    def amounts(self) -> list[float]:
        """The columns as positive numbers; empty when they are not all such."""
        try:
            values = [float(level) for level in self.columns]
        except ValueError:
            return []
        return values if min(values) > 0 else []

    def column_title(self, column: str) -> str:
        """A column's level in words: "5% labels" for label_fraction 0.05, "4 labelled subjects" for labels 4."""
        if self.column_factor is None:
            return "all"
        if self.column_factor == FRACTION and self.amounts:
            return f"{100 * float(column):g}% labels"
        if self.column_factor == COUNT and self.amounts:
            return f"{float(column):g} labelled subject{'s' * (float(column) != 1)}"
        return f"{self.column_factor} {column}"

    @property
    def row_of(self) -> dict[str, str]:
        """Each cell's row."""
        return {cell: row for (row, _), cell in self.cells.items()}

    def at(self, column: str) -> str:
        """Where a column is, behind words: " at 5% labels"; empty where there are no columns to tell apart."""
        return f" at {self.column_title(column)}" if self.column_factor is not None else ""

    def row_cells(self, row: str) -> list[str]:
        """The cells of one row, in the columns' order."""
        return [self.cells[row, column] for column in self.columns if (row, column) in self.cells]


def arrange(
    plan: PlannedStudy,
    rows: str | tuple[str, ...] | None = None,
    columns: str | None = None,
    reference: str = REFERENCE,
) -> Grid:
    """Lay out a plan's cells.

    Args:
        plan: of the study.
        rows: the factor or factors down; None for all that are not across.
        columns: the factor across; None for label_fraction or labels when the study has it, else the last of several
            factors.
        reference: the level that the other rows are compared with, of whichever row factor has it.

    Raises:
        UserError: an unknown factor, or one left out that has several levels.
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
    """The levels' names; of an ablation, what is other than in its base."""
    crossed = [levels[factor] for factor in factors if factor not in plan.base]
    changed = [f"{f} {levels[f]}" for f in factors if f in plan.base and levels[f] != plan.base[f]]
    if any(factor in plan.base for factor in factors) and not changed:
        changed = [BASE]
    return ", ".join([*crossed, *changed]) or "all"


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
