"""Shared jobs that a cell's search makes anew: a searched setting of pretraining needs a pretraining for each value."""

from __future__ import annotations

import math
from collections.abc import Iterator

from study.config.ranges import Choice, Int, Range
from study.planning.jobs import Job
from study.planning.plan import Plan

TRIALS_OWN = "downstream."
"""Beginning of the paths of settings that no shared job has."""


def searched_jobs(plan: Plan, cell: str) -> list[tuple[Job, int]]:
    """Return the shared jobs of a cell that its search varies, each with the largest number of versions.

    Args:
        plan: plan of the study.
        cell: key of the cell.

    Example:
        With 40 trials that search the temperature of SimCLR, the cell's pretraining has 40 versions; with a choice of
        two batch sizes alone it has 2.
    """
    default = plan.sources(cell, {})
    versions = [1.0] * len(default)
    for path, choice in _unconditional(plan, cell):
        for place in _varied(plan, cell, path, choice, default):
            versions[place] *= _count(choice)
    trials = plan.trials(cell)
    return [(job, int(min(count, trials))) for job, count in zip(default, versions, strict=True) if count > 1]


def searched_paths(plan: Plan) -> list[str]:
    """Return the paths of searched settings that a shared job of some cell has."""
    found: dict[str, None] = {}
    for cell in plan.cells:
        default = plan.sources(cell.key, {})
        for path, choice in _unconditional(plan, cell.key):
            if path not in found and _varied(plan, cell.key, path, choice, default):
                found[path] = None
    return list(found)


def _unconditional(plan: Plan, cell: str) -> Iterator[tuple[str, Range]]:
    """Yield the ranges that may concern shared jobs and hold whatever the others are."""
    if plan.trials(cell):
        for path, choice in plan.search(cell).space.items():
            if not choice.when and not path.startswith(TRIALS_OWN):
                yield path, choice


def _varied(plan: Plan, cell: str, path: str, choice: Range, default: list[Job]) -> list[int]:
    """Return the places of the shared jobs that a setting changes."""
    places: set[int] = set()
    for value in (choice.examples[0], choice.examples[-1]):
        jobs = plan.sources(cell, {path: value})
        if len(jobs) != len(default):  # another method has other jobs
            return list(range(len(default)))
        places |= {place for place, job in enumerate(jobs) if job.digest != default[place].digest}
    return sorted(places)


def _count(choice: Range) -> float:
    """Return the number of values of a range; infinity for numbers."""
    if isinstance(choice, Choice):
        return len(choice.values)
    return choice.high - choice.low + 1 if isinstance(choice, Int) else math.inf
