"""Configurations that are known before a search begins: the points of a grid and of a Sobol sequence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scipy.stats import qmc

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
from study.config.search import SearchSpec
from trainables.common.seeds import numpy_generator


def fixed_point(spec: SearchSpec, seed: int, number: int) -> dict[str, Any] | None:
    """Return the configuration of one trial of a "grid" or "quasirandom" search.

    Args:
        spec: Settings of the search.
        seed: Seed of the grid's order and of the Sobol sequence's scrambling.
        number: Number of the trial, from 0; a grid starts again after its last point.

    Returns:
        Value of each setting by dotted path; None for a sampler without fixed points.
    """
    if spec.sampler == "grid":
        points = grid_points(spec.space)
        order = numpy_generator(seed, "grid").permutation(len(points))
        return points[int(order[number % len(points)])]
    if spec.sampler == "quasirandom":
        sequence = qmc.Sobol(len(spec.space), scramble=True, rng=numpy_generator(seed, "sobol"))
        point = sequence.random_base2(number.bit_length())[number]
        return {
            path: _quantile(choice, float(share))
            for (path, choice), share in zip(spec.space.items(), point, strict=True)
        }
    return None


def grid_points(space: Mapping[str, Range]) -> list[dict[str, Any]]:
    """Return every combination of finite ranges, without the settings whose condition it does not meet.

    Example:
        >>> grid_points({"norm": Choice(("batch", "none")), "depth": Int(1, 2, when={"norm": "batch"})})
        [{'norm': 'batch', 'depth': 1}, {'norm': 'batch', 'depth': 2}, {'norm': 'none'}]
    """
    points: list[dict[str, Any]] = [{}]
    for path in dependency_order(space):
        condition = inner_condition(space, path)
        points = [
            longer
            for point in points
            for longer in (
                [{**point, path: value} for value in _values(space[path])]
                if condition_holds(condition, point.get)
                else [point]
            )
        ]
    return points


def _quantile(choice: Range, share: float) -> Any:
    """Return the value at a share, in [0, 1), of a range."""
    match choice:
        case LogUniform(low, high):
            return low * (high / low) ** share
        case Uniform(low, high):
            return low + share * (high - low)
    values = _values(choice)
    return values[int(share * len(values))]


def _values(choice: Range) -> list[Any]:
    """Return all values of a finite range."""
    if isinstance(choice, Int):
        return list(range(choice.low, choice.high + 1))
    assert isinstance(choice, Choice)
    return list(choice.values)
