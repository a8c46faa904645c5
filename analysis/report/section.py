"""A part of a report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from matplotlib.figure import Figure

from analysis.tables.table import Table


@dataclass(frozen=True)
class Section:
    """What belongs together under one heading.

    Attributes:
        title: the heading.
        sentences: what it says in words.
        tables: by the name of their files.
        figures: likewise; a picture that is on disk already is its path.
    """

    title: str
    sentences: tuple[str, ...] = ()
    tables: Mapping[str, Table] = field(default_factory=dict)
    figures: Mapping[str, Figure | Path] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        """Whether there is nothing to say."""
        return not (self.sentences or self.tables or self.figures)
