"""A cell's part of the search space: the ranges whose conditions on the cell's own settings hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from study.config.ranges import Range, holds
from study.config.settings import plain
from study.config.spec import Start, StudySpec

ABSENT: Any = object()
"""What stands for a setting that there is not."""


def setting(spec: StudySpec, path: str) -> Any:
    """The plain value of a setting by its dotted path, or `ABSENT`."""
    value: Any = spec
    for key in path.split("."):
        value = value.get(key, ABSENT) if isinstance(value, Mapping) else getattr(value, key, ABSENT)
        if value is ABSENT:
            return ABSENT
    return plain(value)


def space_of(spec: StudySpec, space: Mapping[str, Range]) -> dict[str, Range]:
    """The ranges that are searched in a cell with these settings; where nothing is pretrained, none of pretraining."""
    idle = isinstance(spec.pretext.method, Start) and "pretext.method" not in space
    return {
        path: choice
        for path, choice in space.items()
        if not (idle and path.startswith("pretext."))
        and holds({p: v for p, v in choice.when.items() if p not in space}, lambda path: setting(spec, path))
    }
