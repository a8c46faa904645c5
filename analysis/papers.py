"""What the papers printed, beside what a study measured."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from analysis.comparisons import estimate_of
from analysis.grid import COUNT, FRACTION
from analysis.load import StudyResults
from analysis.render import Entry, Table

TABLES = Path(__file__).with_name("papers.csv")


@dataclass(frozen=True)
class Printed:
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


def printed(study: str) -> list[Printed]:
    """The printed figures of the paper that a study, or a profile of it, is of; none for other studies."""
    with TABLES.open(newline="") as file:
        rows = [
            Printed(study_file, source, network, method, float(labels), float(dice))
            for study_file, source, network, method, labels, dice in list(csv.reader(file))[1:]
        ]
    return [row for row in rows if study == row.study or study.startswith(f"{row.study}-")]


def paper_table(results: StudyResults) -> Table | None:
    """Printed and measured Dice of every cell that the paper has too; None where there is no such cell."""
    found = []
    for row in printed(results.plan.name):
        for cell, levels in results.plan.cells.items():
            if row.is_of(levels):
                found.append((row, levels, estimate_of(results, cell)))
    if not found:
        return None
    body, data = [], []
    for row, levels, estimate in found:
        measured = estimate.mean if estimate is not None else None
        entries = [", ".join(levels.values()), f"{row.dice:.4g}", "-" if measured is None else f"{measured:.4f}"]
        entries.append("-" if measured is None else f"{measured - row.dice:+.4f}")
        body.append(tuple(Entry(text) for text in entries))
        data.append({**levels, "printed": row.dice, "measured": measured, "source": row.source})
    sources = ", ".join(dict.fromkeys(row.source for row, _, _ in found))
    note = f"Printed: {sources}. Other data, splits or profiles than the paper's are not comparable with it."
    header = ("cell", "printed Dice", "measured Dice", "difference")
    return Table("Beside the paper", header, tuple(body), (note,), pd.DataFrame(data))
