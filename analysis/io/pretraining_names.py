"""Display names of pretrainings: the factor levels in which they differ, and their number among equal ones."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

DIGITS = 12
"""Digits of its artifact's digest at the end of a pretraining's job id."""


@dataclass(frozen=True)
class PretrainingName:
    """Name of one pretraining.

    Attributes:
        group: levels that it shares with those that differ from it by their seed only.
        number: its number in the group, from 1, in the order of the replicates; None where it is alone.
    """

    group: str
    number: int | None = None

    def __str__(self) -> str:
        return self.group if self.number is None else f"{self.group}, pretraining {self.number}"


def pretraining_names(
    cells: Mapping[str, Mapping[str, str]], starts: Mapping[str, Mapping[int, str]], methods: Mapping[str, str]
) -> dict[str, PretrainingName]:
    """Return the name of each pretraining that replicates start from, by the first `DIGITS` digits of its digest.

    Args:
        cells: levels by factor of each cell, by the cell's key.
        starts: digest of the pretraining by replicate, by cell.
        methods: name of the pretext method by the first digits of the digest.
    """
    users: dict[str, list[str]] = {}
    first: dict[str, int] = {}
    for cell, by_replicate in starts.items():
        for replicate, digest in by_replicate.items():
            users.setdefault(digest[:DIGITS], []).append(cell)
            first[digest[:DIGITS]] = min(replicate, first.get(digest[:DIGITS], replicate))
    shared = {digest: _shared([cells[cell] for cell in own if cell in cells]) for digest, own in users.items()}
    varied = {f for levels in shared.values() for f in levels if any(o.get(f) != levels[f] for o in shared.values())}
    several = len({methods.get(digest) for digest in users}) > 1
    groups: dict[str, list[str]] = {}
    for digest in sorted(users, key=lambda each: (first[each], each)):
        words = [_level(factor, level) for factor, level in shared[digest].items() if factor in varied]
        method = methods.get(digest, "pretraining")
        text = ", ".join(words)
        text = f"{method}, {text}" if text and several and method not in text else text or method
        groups.setdefault(text, []).append(digest)
    return {
        digest: PretrainingName(group, number if len(own) > 1 else None)
        for group, own in groups.items()
        for number, digest in enumerate(own, 1)
    }


def job_name(names: Mapping[str, PretrainingName], job: str) -> PretrainingName:
    """Return the name of a pretraining by its job's id; that of its method where no replicate starts from it.

    Example:
        >>> str(job_name({}, "pretext-simclr-4814fd0aa2b1"))
        'simclr'
    """
    method, digest = job_parts(job)
    return names.get(digest) or PretrainingName(method)


def job_parts(job: str) -> tuple[str, str]:
    """Return the method and the digits of the digest in a pretraining's job id; the id and none for another id."""
    match = re.fullmatch(r"pretext-(.+)-([0-9a-f]+)", job)
    return (match[1], match[2]) if match else (job, "")


def _shared(levels: list[Mapping[str, str]]) -> dict[str, str]:
    """Return the levels that all cells have in common."""
    first = levels[0] if levels else {}
    return {factor: level for factor, level in first.items() if all(each.get(factor) == level for each in levels)}


def _level(factor: str, level: str) -> str:
    """Return a level's name, with its factor's where the name alone says little, such as a number or "on"."""
    bare = re.fullmatch(r"[\d.e+-]+|true|false|on|off|yes|no|none", level, re.IGNORECASE)
    return f"{factor} {level}" if bare else level
