"""Cells that a study leaves out: `exclude` and `only` of a study file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from study.config.documents import Document
from study.config.problems import Keys, Problem
from study.config.spec import Factor
from trainables.common.errors import did_you_mean

Pattern = Mapping[str, tuple[str, ...]]
"""Level names by factor; a cell matches if its level of each factor is among them."""


@dataclass(frozen=True)
class CellFilter:
    """Choice among the cells of a design.

    Attributes:
        exclude: patterns of cells to leave out.
        only: patterns of the cells to keep; empty for all.
    """

    exclude: tuple[Pattern, ...] = ()
    only: tuple[Pattern, ...] = ()

    def keeps(self, levels: Mapping[str, str]) -> bool:
        """Return True for a cell that is part of the study.

        Args:
            levels: the cell's level name by factor.
        """
        chosen = not self.only or any(_matches(levels, pattern) for pattern in self.only)
        return chosen and not any(_matches(levels, pattern) for pattern in self.exclude)


@dataclass
class FilterReader:
    """Reader of a study file's `exclude` and `only`: lists of mappings of factors to a level or to several.

    Attributes:
        document: the study file.
        factors: the study's factors.
        problems: list of problems that were found.
    """

    document: Document
    factors: Sequence[Factor]
    problems: list[Problem] = field(default_factory=list)

    def read(self) -> CellFilter:
        """Return the filter; entries with a problem are left out of it."""
        return CellFilter(self._patterns("exclude"), self._patterns("only"))

    def _patterns(self, section: str) -> tuple[Pattern, ...]:
        entries = self.document.values.get(section) or []
        if not isinstance(entries, list):
            return ()  # the study's settings report it
        found = [self._pattern((section, number), entry) for number, entry in enumerate(entries)]
        return tuple(pattern for pattern in found if pattern is not None)

    def _pattern(self, keys: Keys, entry: Any) -> Pattern | None:
        if not isinstance(entry, Mapping):
            return None
        if not entry:
            self._add(keys, "found {}, expected a level by factor, such as {method: byol}")
            return None
        known = {factor.name: factor.levels for factor in self.factors}
        pattern: dict[str, tuple[str, ...]] = {}
        before = len(self.problems)
        for name, value in entry.items():
            if name not in known:
                self._add((*keys, name), f"the study has no factor '{name}'{did_you_mean(str(name), known)}")
                continue
            levels = [_name(level) for level in (value if isinstance(value, list) else [value])]
            for level in levels:
                if level not in known[name]:
                    hint = did_you_mean(level, known[name])
                    self._add((*keys, name), f"the factor '{name}' has no level '{level}'{hint}")
            pattern[name] = tuple(levels)
        return pattern if len(self.problems) == before else None

    def _add(self, keys: Keys, message: str) -> None:
        self.problems.append(Problem(keys, message, self.document.locate(keys)))


def _matches(levels: Mapping[str, str], pattern: Pattern) -> bool:
    return all(levels.get(factor) in names for factor, names in pattern.items())


def _name(level: Any) -> str:
    """Return the name of a level that YAML read as a number, a truth value or null."""
    return level if isinstance(level, str) else json.dumps(level)
