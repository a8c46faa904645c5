"""One section of a report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from matplotlib.figure import Figure

from analysis.charts.chart import Chart
from analysis.tables.table import Table


@dataclass(frozen=True)
class Section:
    """Sentences, tables and figures under one heading.

    Attributes:
        title: heading of the section.
        sentences: conclusions in words, one list item each.
        tables: tables by file name without suffix.
        figures: figures by file name without suffix; a path where the file exists already.
        charts: interactive charts of the page; one with a figure's name stands in its place, and the figure below it.
    """

    title: str
    sentences: tuple[str, ...] = ()
    tables: Mapping[str, Table] = field(default_factory=dict)
    figures: Mapping[str, Figure | Path] = field(default_factory=dict)
    charts: Mapping[str, Chart] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        """True where the section has no sentence, table or figure."""
        return not (self.sentences or self.tables or self.figures)
