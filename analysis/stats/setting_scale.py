"""Scale of a searched setting: where its values stand between the ends of the range that was searched."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from study.config.ranges import Choice, Int, LogUniform, Range, Uniform

Places = npt.NDArray[np.float64]


@dataclass(frozen=True)
class SettingScale:
    """Linear, logarithmic or categorical scale.

    Attributes:
        low: lowest place: a number, or 0 for the first choice.
        high: highest place, above `low`: a number, or the number of choices less 1.
        logarithmic: True where the search draws uniformly on a logarithmic scale.
        choices: values of a categorical setting in the study file's order; empty for numbers.
    """

    low: float
    high: float
    logarithmic: bool = False
    choices: tuple[Any, ...] = ()

    def place(self, values: Iterable[Any]) -> Places:
        """Return the places of values: numbers as they are, choices by index; NaN for a value that is no choice."""
        if not self.choices:
            return np.array([np.nan if value is None else float(value) for value in values], np.float64)
        index = {_key(choice): number for number, choice in enumerate(self.choices)}
        return np.array([index.get(_key(value), np.nan) for value in values], np.float64)

    def uniform(self, places: npt.ArrayLike) -> Places:
        """Return places on the scale on which the search draws uniformly: their logarithms on a logarithmic scale."""
        found = np.asarray(places, np.float64)
        return np.log(found) if self.logarithmic else found

    def fraction(self, places: npt.ArrayLike) -> Places:
        """Return places as fractions of the way from the lowest to the highest, in [0, 1]."""
        low, high = self.uniform([self.low, self.high])
        return (self.uniform(places) - low) / (high - low) if high > low else np.full(np.shape(places), 0.5)

    @property
    def bounds(self) -> tuple[float, float]:
        """Lower and upper bound of the uniformly distributed values, where each choice has a length of 1."""
        if self.choices:
            return self.low - 0.5, self.high + 0.5
        low, high = self.uniform([self.low, self.high])
        return float(low), float(high)

    @property
    def names(self) -> tuple[str, ...]:
        """Texts of the choices; empty for numbers."""
        return tuple("null" if choice is None else str(choice) for choice in self.choices)

    def ticks(self) -> list[tuple[float, str]]:
        """Return the places of three round numbers, or of all choices, with their texts."""
        if self.choices:
            return [(float(number), name) for number, name in enumerate(self.names)]
        low, high = self.low, self.high
        middle = (low * high) ** 0.5 if self.logarithmic else (low + high) / 2
        return [(value, f"{value:.3g}") for value in (low, middle, high)]


def setting_scale(name: str, values: pd.Series, space: Mapping[str, Range]) -> SettingScale:
    """Return the scale of a setting: the range that was searched, or without a plan of it that of the trials.

    A recorded range is widened to the values of the trials, and a further value is a further choice.

    Args:
        name: dotted path of the setting.
        values: values of the trials.
        space: searched range of each setting by dotted path.
    """
    match space.get(name):
        case Choice(values=choices):
            known = {_key(choice) for choice in choices}
            choices += tuple(value for value in values.dropna().unique() if _key(value) not in known)
            return SettingScale(0.0, len(choices) - 1.0, choices=choices)
        case Uniform(low=low, high=high) | LogUniform(low=low, high=high) | Int(low=low, high=high) as known:
            seen = [float(value) for value in values.dropna()]
            return SettingScale(min([low, *seen]), max([high, *seen]), isinstance(known, LogUniform))
    present = values.dropna()
    if all(isinstance(value, int | float | np.number) and not isinstance(value, bool) for value in present):
        return SettingScale(float(present.min()), float(present.max()))
    choices = tuple(sorted(present.unique(), key=str))
    return SettingScale(0.0, len(choices) - 1.0, choices=choices)


def _key(value: Any) -> Hashable:
    """Return a value that is equal for equal choices: true is not 1, and a missing value is null."""
    missing = value is None or (isinstance(value, float) and np.isnan(value))
    return (isinstance(value, bool | np.bool_), None if missing else value)
