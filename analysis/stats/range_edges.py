"""Chosen values at an edge of the range that was searched, beyond which a better one may lie."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeGuard

import numpy as np
import pandas as pd

from analysis.io.load import PlannedStudy, StudyResults
from analysis.stats.setting_scale import setting_scale
from analysis.stats.trials import PREFIX
from analysis.tables.cells import short_names
from study.config.problems import SpecError
from study.config.ranges import Choice, Range
from study.config.settings import parse
from study.config.spec import StudySpec

EDGE = 0.05
"""Fraction of a range, on the scale on which it is searched, that counts as its edge."""

Side = Literal["lower", "upper"]
SIDES: tuple[Side, ...] = ("lower", "upper")


@dataclass(frozen=True)
class RangeEdge:
    """Setting whose chosen value lies at one edge of its range, in some of the searched cells.

    Attributes:
        path: dotted path of the setting.
        setting: its short name.
        side: edge of the range.
        values: chosen values at the edge, one for each such cell.
        low: lowest value that was searched.
        high: highest value that was searched.
        cells: number of searched cells in which the setting was chosen.
    """

    path: str
    setting: str
    side: Side
    values: tuple[float, ...]
    low: float
    high: float
    cells: int

    @property
    def sentence(self) -> str:
        """Remark with the value, the range and what to do."""
        least, most = f"{min(self.values):.3g}", f"{max(self.values):.3g}"
        found = least if least == most else f"{least} to {most}"
        where = "" if self.cells == 1 else f" in {len(self.values)} of {self.cells} cells"
        change = f"above {self.high:.4g}" if self.side == "upper" else f"below {self.low:.4g}"
        return (
            f"The best {self.setting} ({found}) lies at the {self.side} edge of the searched range, {self.low:.4g} to "
            f"{self.high:.4g}{where}: a better value may lie {change}. Search a wider range."
        )


def range_edges(results: StudyResults) -> list[RangeEdge]:
    """Return the settings whose chosen value is at an edge of its range, in the order of the search space.

    Edges are the first and last 5% of a range, and the smallest and largest of at least three numbers to choose from.
    An edge beyond which the setting allows no value is none.

    Args:
        results: results of the study.
    """
    trials = results.of_kind("trial")
    chosen = [
        trial.iloc[-1]
        for cell, index in results.chosen.items()
        if len(trial := trials[(trials["cell"] == cell) & (trials["index"] == index)])
    ]
    names = [name for name in results.plan.space if PREFIX + name in trials]
    short = short_names(names)
    found = []
    for name in names:
        values = [float(trial[PREFIX + name]) for trial in chosen if _is_number(trial[PREFIX + name])]
        searched = _numbers(results.plan.space[name])
        for side in SIDES if searched and values else ():
            at_edge = tuple(value for value in values if _at_edge(name, value, results.plan.space, side))
            if at_edge and _may_go_beyond(results.plan, name, searched, side):
                found.append(RangeEdge(name, short[name], side, at_edge, min(searched), max(searched), len(values)))
    return found


def _numbers(searched: Range) -> tuple[float, ...]:
    """Return the ends of a range, or the numbers to choose from; empty where too few values have no order or edge."""
    if isinstance(searched, Choice):
        numbers = tuple(float(value) for value in searched.values if _is_number(value))
        return numbers if len(numbers) == len(searched.values) > 2 else ()
    low, high = float(min(searched.examples)), float(max(searched.examples))
    return low, high


def _at_edge(name: str, value: float, space: Mapping[str, Range], side: Side) -> bool:
    if isinstance(space[name], Choice):
        numbers = _numbers(space[name])
        return value == (min(numbers) if side == "lower" else max(numbers))
    fraction = float(setting_scale(name, pd.Series([], dtype=float), space).fraction(value))
    return fraction <= EDGE if side == "lower" else fraction >= 1 - EDGE


def _may_go_beyond(plan: PlannedStudy, name: str, searched: Sequence[float], side: Side) -> bool:
    """Return True where the setting allows a value beyond the edge, or where that is not recorded."""
    changed = _with_setting(plan.spec, name, _beyond(plan.space[name], min(searched), max(searched), side))
    return changed is None or _valid(changed) or not _valid(plan.spec)


def _beyond(searched: Range, low: float, high: float, side: Side) -> float:
    """Return a value a little beyond an edge; a positive range stays positive."""
    whole = all(isinstance(value, int) for value in searched.examples)
    step = 1 if whole else EDGE * (high - low)
    if side == "upper":
        return int(high + step) if whole else high + step
    if whole:
        return int(low - step)
    return low / 2 if 0 < low <= step else low - step


def _valid(spec: Mapping[str, Any]) -> bool:
    try:
        parse(StudySpec, spec)
    except SpecError:
        return False
    return True


def _with_setting(spec: Mapping[str, Any], path: str, value: float) -> dict[str, Any] | None:
    """Return a copy of plain settings with another value at a dotted path; None where there is no such place."""
    changed = copy.deepcopy(dict(spec))
    *keys, last = path.split(".")
    place: Any = changed
    try:
        for key in keys:
            place = place[int(key)] if isinstance(place, list) else place[key]
        place[int(last) if isinstance(place, list) else last] = value
    except (KeyError, IndexError, TypeError, ValueError):
        return None
    return changed


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float | np.integer) and not isinstance(value, bool) and not math.isnan(value)
