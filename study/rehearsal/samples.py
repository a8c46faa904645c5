"""Configurations of a search space that a rehearsal runs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from study.config.plain import canonical
from study.config.ranges import (
    Choice,
    Int,
    LogUniform,
    Range,
    Uniform,
    condition_holds,
    dependency_order,
    inner_condition,
)


def samples(space: Mapping[str, Range]) -> list[dict[str, Any]]:
    """Return configurations with the largest values of a search space, and one for each further category.

    Whole numbers and choices of numbers have their largest value, which takes the most memory; other numbers have their
    middle. The first configuration has the first value of every other choice, each further one another value of one.

    Args:
        space: ranges by dotted path.

    Example:
        >>> space = {"batch_size": Choice((8, 16)), "norm": Choice(("batch", "none")), "depth": Int(1, 3)}
        >>> samples(space) == [
        ...     {"batch_size": 16, "norm": "batch", "depth": 3}, {"batch_size": 16, "norm": "none", "depth": 3}
        ... ]
        True
    """
    found = [_configuration(space, {})]
    for path, choice in space.items():
        if isinstance(choice, Choice) and not _numeric(choice):
            found += [_configuration(space, {**_enabling(space, path), path: value}) for value in choice.values]
    return list({canonical(each): each for each in found}.values())


def explain(space: Mapping[str, Range]) -> list[str]:
    """Return one line for each range of a search space, which says what of it is rehearsed."""
    return [f"{path}: {_explanation(choice)}" for path, choice in space.items()]


def _configuration(space: Mapping[str, Range], fixed: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of all ranges whose condition holds, with some of them fixed."""
    values: dict[str, Any] = {}
    for path in dependency_order(space):
        if condition_holds(inner_condition(space, path), values.get):
            values[path] = fixed.get(path, _value(space[path]))
    return values


def _enabling(space: Mapping[str, Range], path: str) -> dict[str, Any]:
    """Return values of other settings with which the condition of a range holds."""
    found: dict[str, Any] = {}
    for other, wanted in inner_condition(space, path).items():
        first = wanted[0] if isinstance(wanted, list | tuple) else wanted
        found |= {**_enabling(space, other), other: first}
    return found


def _value(choice: Range) -> Any:
    match choice:
        case Choice(values=values):
            return max(values) if _numeric(choice) else values[0]  # type: ignore[type-var]
        case Int(high=high):
            return high
        case LogUniform(low=low, high=high):
            return math.sqrt(low * high)
        case Uniform(low=low, high=high):
            return (low + high) / 2
    return choice.examples[0]


def _explanation(choice: Range) -> str:
    value = _value(choice)
    if isinstance(choice, Choice):
        listed = ", ".join(map(str, choice.values))
        return f"{value}, the largest of {listed}" if _numeric(choice) else f"each of {listed}"
    return f"{value:g}, the {'largest' if isinstance(choice, Int) else 'middle'}"


def _numeric(choice: Choice) -> bool:
    """Return True for a choice of numbers."""
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in choice.values)
