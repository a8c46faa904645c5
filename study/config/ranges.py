"""Ranges of searched settings, and the `when` conditions under which they are searched."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from graphlib import CycleError, TopologicalSorter
from typing import Any

from trainables.common.registry import Registry


@dataclass(frozen=True)
class Range(ABC):
    """Values to search, in a study file `{uniform: [0, 1]}`, `{loguniform: ...}`, `{int: ...}` or `{choice: ...}`.

    Attributes:
        when: condition under which the setting is searched: for each other setting, by dotted path, a value or a list
            of values; a component is compared by name. The others may be searched or fixed. Empty for no condition.
    """

    when: Mapping[str, Any] = field(default_factory=dict, kw_only=True)

    @property
    @abstractmethod
    def examples(self) -> tuple[Any, ...]:
        """Example values, all of which the searched setting must accept."""

    @staticmethod
    def expand(value: Any) -> Any:
        """Return the full form of a range written as `{uniform: [0, 1]}`."""
        if not isinstance(value, Mapping) or len(value.keys() - {"when"}) != 1:
            return value
        condition = {"when": value["when"]} if "when" in value else {}
        ((name, arguments),) = ((key, item) for key, item in value.items() if key != "when")
        if name not in RANGES:
            return {"name": name, **condition}
        names = [part.name for part in fields(RANGES[name]) if not part.kw_only]
        if names == ["values"]:
            return {"name": name, "values": arguments, **condition}
        if not isinstance(arguments, list | tuple) or len(arguments) != len(names):
            raise ValueError(f"{name}: [{', '.join(names)}]")
        return {"name": name, **dict(zip(names, arguments, strict=True)), **condition}


@dataclass(frozen=True)
class Uniform(Range):
    """A number from low to high, uniformly distributed.

    Attributes:
        low: smallest value.
        high: largest value.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        _check_order(self.low, self.high)

    @property
    def examples(self) -> tuple[float, ...]:
        """Both bounds and a fraction between them."""
        return _bounds_and_between(self.low, self.high)


@dataclass(frozen=True)
class LogUniform(Range):
    """A positive number from low to high, uniformly distributed on a logarithmic scale.

    Attributes:
        low: smallest value, above 0.
        high: largest value.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        _check_order(self.low, self.high)
        if self.low <= 0:
            raise ValueError(f"low is {self.low}, expected more than 0")

    @property
    def examples(self) -> tuple[float, ...]:
        """Both bounds and a fraction between them."""
        return _bounds_and_between(self.low, self.high)


@dataclass(frozen=True)
class Int(Range):
    """A whole number from low to high, both included.

    Attributes:
        low: smallest value.
        high: largest value.
    """

    low: int
    high: int

    def __post_init__(self) -> None:
        _check_order(self.low, self.high)

    @property
    def examples(self) -> tuple[int, ...]:
        """Lower and upper bound."""
        return self.low, self.high


@dataclass(frozen=True)
class Choice(Range):
    """One of several unordered values: names, numbers, booleans or null.

    Attributes:
        values: the values, at least one.
    """

    values: tuple[bool | int | float | str | None, ...]

    def __post_init__(self) -> None:
        if len(set(self.values)) < max(1, len(self.values)):
            raise ValueError(f"values are {list(self.values)}, expected at least one value and no duplicates")

    @property
    def examples(self) -> tuple[Any, ...]:
        """All values of the choice."""
        return self.values


RANGES: Registry[type[Range]] = Registry(
    "range", {"uniform": Uniform, "loguniform": LogUniform, "int": Int, "choice": Choice}
)


def dependency_order(space: Mapping[str, Range]) -> list[str]:
    """Return the paths of a space, each after the paths that its `when` condition names.

    Raises:
        ValueError: the conditions form a cycle.
    """
    try:
        return list(
            TopologicalSorter({path: set(choice.when) & set(space) for path, choice in space.items()}).static_order()
        )
    except CycleError as error:
        raise ValueError(f"circular `when` conditions: {', '.join(sorted(set(error.args[1])))}") from error


def inner_condition(space: Mapping[str, Range], path: str) -> dict[str, Any]:
    """Return the part of a range's condition that concerns searched settings; the rest concerns the cell."""
    return {other: wanted for other, wanted in space[path].when.items() if other in space}


def condition_holds(when: Mapping[str, Any], value: Callable[[str], Any]) -> bool:
    """Return True if every setting of a `when` condition has one of its values.

    Args:
        when: a value or a list of values by dotted path.
        value: function that returns the value of the setting at a dotted path.
    """
    return all(_is_one_of(value(path), wanted) for path, wanted in when.items())


def _is_one_of(value: Any, wanted: Any) -> bool:
    if isinstance(value, Mapping) and "name" in value:
        value = value["name"]
    return value in wanted if isinstance(wanted, list | tuple) else bool(value == wanted)


def _check_order(low: float, high: float) -> None:
    if not low < high:
        raise ValueError(f"low is {low}, high is {high}, expected low < high")


def _bounds_and_between(low: float, high: float) -> tuple[float, float, float]:
    return low, high, low + 0.381966 * (high - low)
