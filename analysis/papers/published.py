"""What the papers printed, beside what a study measured."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from analysis.io.load import StudyResults
from analysis.stats.comparisons import estimate_of
from analysis.tables.grid import COUNT, FRACTION, arrange
from analysis.tables.table import Entry, Table

TABLES = Path(__file__).with_name("papers.csv")


@dataclass(frozen=True)
class PublishedResult:
    """One printed figure.

    Attributes:
        study: the study file of the paper's table.
        source: the paper and its table.
        network: level of that factor, or "".
        method: likewise.
        labels: share of the labels, or number of labelled subjects.
        dice: mean test Dice.
    """

    study: str
    source: str
    network: str
    method: str
    labels: float
    dice: float

    def is_of(self, levels: Mapping[str, str]) -> bool:
        """Whether a cell with these levels is the one that the figure is of."""
        amount = levels.get(FRACTION, levels.get(COUNT))
        return (
            levels.get("method") == self.method
            and levels.get("network", self.network) == self.network
            and amount is not None
            and abs(float(amount) - self.labels) < 1e-9
        )


def printed(study: str) -> list[PublishedResult]:
    """The printed figures of the paper that a study, or a profile of it, is of; none for other studies."""
    with TABLES.open(newline="") as file:
        rows = [
            PublishedResult(study_file, source, network, method, float(labels), float(dice))
            for study_file, source, network, method, labels, dice in list(csv.reader(file))[1:]
        ]
    return [row for row in rows if study == row.study or study.startswith(f"{row.study}-")]


def paper_table(results: StudyResults) -> Table | None:
    """Printed Dice behind measured, laid out as in the paper; None where the study has no cell of it.

    Saeed et al. have a row a start and network and a column a share of the labels; Bai et al. a row a number of
    subjects and a column a method.
    """
    plan = results.plan
    figures = printed(plan.name)
    matches = {cell: [row for row in figures if row.is_of(levels)] for cell, levels in plan.cells.items()}
    of_cell = {cell: rows[0] for cell, rows in matches.items() if rows}
    if not of_cell:
        return None
    grid = arrange(plan, columns="method" if COUNT in plan.factors else None)
    measured = {cell: estimate_of(results, cell).mean for cell in of_cell}
    body = tuple(
        (Entry(row), *(_entry(of_cell, measured, grid.cells.get((row, column))) for column in grid.columns))
        for row in grid.rows
    )
    data = [
        {**plan.cells[cell], "printed": row.dice, "measured": measured[cell], "source": row.source}
        for cell, row in of_cell.items()
    ]
    sources = ", ".join(dict.fromkeys(row.source for row in of_cell.values()))
    note = f"In brackets: {sources}. Other data, splits or profiles than the paper's are not comparable with it."
    header = (grid.row_header, *map(grid.column_title, grid.columns))
    return Table("Dice beside the paper's", header, body, (note,), pd.DataFrame(data))


def _entry(of_cell: Mapping[str, PublishedResult], measured: Mapping[str, float], cell: str | None) -> Entry:
    if cell is None:
        return Entry("-")
    value = measured.get(cell, float("nan"))
    mine = "-" if pd.isna(value) else f"{value:.4f}"
    return Entry(f"{mine} ({of_cell[cell].dice:.4f})" if cell in of_cell else mine)
