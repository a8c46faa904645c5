"""Ranges of a setting that a search goes through, and the conditions on which it does."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from graphlib import CycleError, TopologicalSorter
from typing import Any

from trainables.common.registry import Registry


@dataclass(frozen=True)
class Range(ABC):
    """Values to search: in a study file `{uniform: [0, 1]}`, `{loguniform: ...}`, `{int: ...}` or `{choice: ...}`.

    Attributes:
        when: the setting is searched only where these others, by dotted path, have this value or one of these; a
            component has its name. They may be searched themselves, or belong to the cell.
    """

    when: Mapping[str, Any] = field(default_factory=dict, kw_only=True)

    @property
    @abstractmethod
    def examples(self) -> tuple[Any, ...]:
        """Values that a setting must be able to take if it is to be searched over this range."""

    @staticmethod
    def expand(value: Any) -> Any:
        """The full form of a range as a study file writes it."""
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
    """Any number in [low, high]."""

    low: float
    high: float

    def __post_init__(self) -> None:
        _check_order(self.low, self.high)

    @property
    def examples(self) -> tuple[float, ...]:
        """Both ends and one between, which is no whole number."""
        return _ends_and_between(self.low, self.high)


@dataclass(frozen=True)
class LogUniform(Range):
    """Any number in [low, high], every order of magnitude being as likely; low above 0."""

    low: float
    high: float

    def __post_init__(self) -> None:
        _check_order(self.low, self.high)
        if self.low <= 0:
            raise ValueError(f"low is {self.low}, expected more than 0")

    @property
    def examples(self) -> tuple[float, ...]:
        """Both ends and one between, which is no whole number."""
        return _ends_and_between(self.low, self.high)


@dataclass(frozen=True)
class Int(Range):
    """Any whole number from low to high, both included."""

    low: int
    high: int

    def __post_init__(self) -> None:
        _check_order(self.low, self.high)

    @property
    def examples(self) -> tuple[int, ...]:
        """Both ends."""
        return self.low, self.high


@dataclass(frozen=True)
class Choice(Range):
    """One of some values, in no order: names, numbers, booleans or null."""

    values: tuple[bool | int | float | str | None, ...]

    def __post_init__(self) -> None:
        if len(set(self.values)) < max(1, len(self.values)):
            raise ValueError(f"values are {list(self.values)}, expected at least one, each once")

    @property
    def examples(self) -> tuple[Any, ...]:
        """All of them."""
        return self.values


RANGES: Registry[type[Range]] = Registry(
    "range", {"uniform": Uniform, "loguniform": LogUniform, "int": Int, "choice": Choice}
)


def in_order(space: Mapping[str, Range]) -> list[str]:
    """The paths of a space, each after those that its condition is about.

    Raises:
        ValueError: two ranges wait for each other.
    """
    try:
        return list(
            TopologicalSorter({path: set(choice.when) & set(space) for path, choice in space.items()}).static_order()
        )
    except CycleError as error:
        raise ValueError(f"these wait for each other: {', '.join(sorted(set(error.args[1])))}") from error


def inner_condition(space: Mapping[str, Range], path: str) -> dict[str, Any]:
    """What a range asks of the space's other settings; the rest of its condition is about the cell's."""
    return {other: wanted for other, wanted in space[path].when.items() if other in space}


def holds(when: Mapping[str, Any], value: Callable[[str], Any]) -> bool:
    """Whether every setting of a condition has the value it names; `value` gives the one at a dotted path."""
    return all(_is_one_of(value(path), wanted) for path, wanted in when.items())


def _is_one_of(found: Any, wanted: Any) -> bool:
    if isinstance(found, Mapping) and "name" in found:
        found = found["name"]
    return found in wanted if isinstance(wanted, list | tuple) else bool(found == wanted)


def _check_order(low: float, high: float) -> None:
    if not low < high:
        raise ValueError(f"low is {low}, high is {high}, expected low < high")


def _ends_and_between(low: float, high: float) -> tuple[float, float, float]:
    return low, high, low + 0.381966 * (high - low)
