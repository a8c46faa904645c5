"""Published results of the papers, compared with a study's own."""

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
    """One published value.

    Attributes:
        study: name of the study file that repeats the paper's table.
        source: citation of the paper and its table.
        network: level of the factor `network`; empty where the table has one network.
        method: level of the factor `method`.
        labels: label fraction, or number of labelled subjects.
        dice: published test Dice.
        average: "pooled" for Dice over the pixels of all test images, "subjects" for the mean over subjects.
    """

    study: str
    source: str
    network: str
    method: str
    labels: float
    dice: float
    average: str = "subjects"

    def matches(self, levels: Mapping[str, str]) -> bool:
        """Return whether the value belongs to the cell with these factor levels."""
        amount = levels.get(FRACTION, levels.get(COUNT))
        return (
            levels.get("method") == self.method
            and levels.get("network", self.network) == self.network
            and amount is not None
            and abs(float(amount) - self.labels) < 1e-9
        )


def published_results(study: str) -> list[PublishedResult]:
    """Return the published results that a study, or a profile of it, repeats; empty for other studies."""
    with TABLES.open(newline="") as file:
        rows = [
            PublishedResult(study_file, source, network, method, float(labels), float(dice), average)
            for study_file, source, network, method, labels, dice, average in list(csv.reader(file))[1:]
        ]
    return [row for row in rows if study == row.study or study.startswith(f"{row.study}-")]


def paper_table(results: StudyResults) -> Table | None:
    """Return a table of measured and published Dice, arranged as in the paper; None without a published cell.

    Saeed et al. have one row per start and network and one column per label fraction; Bai et al. one row per number of
    subjects and one column per method.
    """
    plan = results.plan
    figures = published_results(plan.name)
    matches = {cell: [row for row in figures if row.matches(levels)] for cell, levels in plan.cells.items()}
    of_cell = {cell: rows[0] for cell, rows in matches.items() if rows}
    if not of_cell:
        return None
    grid = arrange(plan, columns="method" if COUNT in plan.factors else None)
    measured = {cell: estimate_of(results, cell).mean for cell in of_cell}
    pooled = {cell: _pooled(results, cell) for cell, row in of_cell.items() if row.average == "pooled"}
    body = tuple(
        (Entry(row), *(_entry(of_cell, measured, pooled, grid.cells.get((row, column))) for column in grid.columns))
        for row in grid.rows
    )
    data = [
        {
            **plan.cells[cell],
            "printed": row.dice,
            "measured": measured[cell],
            "pooled": pooled.get(cell, float("nan")),
            "source": row.source,
        }
        for cell, row in of_cell.items()
    ]
    sources = ", ".join(dict.fromkeys(row.source for row in of_cell.values()))
    notes = [f"In parentheses: {sources}. Only comparable with the paper's own data, splits and profile."]
    if pooled:
        notes.append("First the mean over subjects, then Dice over the pixels of all test images, as in the paper.")
    header = (grid.row_header, *map(grid.column_title, grid.columns))
    return Table("Measured and published Dice", header, body, tuple(notes), pd.DataFrame(data))


def _pooled(results: StudyResults, cell: str) -> float:
    """Return the mean over replicates of the pooled test Dice; nan for results without it."""
    jobs = results.of_kind("replicate", cell)
    return float(jobs["test/pooled_dice"].mean()) if "test/pooled_dice" in jobs else float("nan")


def _entry(
    of_cell: Mapping[str, PublishedResult], measured: Mapping[str, float], pooled: Mapping[str, float], cell: str | None
) -> Entry:
    if cell is None:
        return Entry("-")
    found = [measured.get(cell, float("nan")), *([pooled[cell]] if cell in pooled else [])]
    text = " / ".join("-" if pd.isna(value) else f"{value:.4f}" for value in found)
    return Entry(f"{text} ({of_cell[cell].dice:.4f})" if cell in of_cell else text)
