"""One section of a report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from matplotlib.figure import Figure

from analysis.charts.chart import Chart
from analysis.report.captions import caption
from analysis.tables.table import Table

T = TypeVar("T")


@dataclass(frozen=True)
class Section:
    """Sentences, tables and figures under one heading.

    Attributes:
        title: heading of the section.
        sentences: conclusions in words, one list item each.
        tables: tables by file name without suffix.
        figures: figures by file name without suffix; a path where the file exists already.
        charts: interactive charts of the page; one with a figure's name stands in its place, and the figure below it.
        captions: captions of figures that are drawn several times, by file name; other figures have one of their own.
    """

    title: str
    sentences: tuple[str, ...] = ()
    tables: Mapping[str, Table] = field(default_factory=dict)
    figures: Mapping[str, Figure | Path] = field(default_factory=dict)
    charts: Mapping[str, Chart] = field(default_factory=dict)
    captions: Mapping[str, str] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        """True where the section has no sentence, table or figure."""
        return not (self.sentences or self.tables or self.figures)

    def caption(self, name: str) -> str:
        """Return the caption of one of the section's figures."""
        return self.captions.get(name) or caption(name)


def available(found: Mapping[str, T | None]) -> dict[str, T]:
    """Return the figures, charts or tables that there are, by name."""
    return {name: each for name, each in found.items() if each is not None}
