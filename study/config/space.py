"""The part of a search space that applies to one cell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from study.config.plain import plain
from study.config.ranges import Range, condition_holds
from study.config.spec import Start, StudySpec

ABSENT: Any = object()
"""Value of a setting that does not exist in a cell."""


def get_setting(spec: StudySpec, path: str) -> Any:
    """Return the plain value of the setting at a dotted path, or `ABSENT`; a place from 0 is an element of a list."""
    value: Any = spec
    for key in path.split("."):
        if isinstance(value, Mapping):
            value = value.get(key, ABSENT)
        elif isinstance(value, tuple):
            value = value[int(key)] if key.isdecimal() and int(key) < len(value) else ABSENT
        else:
            value = getattr(value, key, ABSENT)
        if value is ABSENT:
            return ABSENT
    return plain(value)


def active_space(spec: StudySpec, space: Mapping[str, Range]) -> dict[str, Range]:
    """Return the ranges that are searched in the cell with these settings.

    Ranges of pretraining are dropped in a cell without pretraining, and ranges whose `when` condition on settings
    outside the space does not hold.
    """
    no_pretraining = isinstance(spec.pretext.method, Start) and "pretext.method" not in space
    return {
        path: choice
        for path, choice in space.items()
        if not (no_pretraining and path.startswith("pretext."))
        and condition_holds(
            {p: v for p, v in choice.when.items() if p not in space}, lambda path: get_setting(spec, path)
        )
    }
