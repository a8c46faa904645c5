"""Differences between two resolved study files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from study.config.plain import canonical


def spec_differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return where two resolved study files differ, as lines "path: before -> now"; an empty list if nowhere.

    A setting that one of them lacks counts as equal to an empty mapping.

    Example:
        >>> spec_differences({"seed": 0, "search": {"trials": 3}}, {"seed": 1, "search": {"trials": 3}})
        ['seed: 0 -> 1']
    """
    flat_before, flat_now = _flatten(before), _flatten(now)
    return [
        f"{path}: {flat_before.get(path, 'absent')} -> {flat_now.get(path, 'absent')}"
        for path in sorted(flat_before.keys() | flat_now.keys())
        if flat_before.get(path) != flat_now.get(path)
    ]


def _flatten(value: Any, path: str = "") -> dict[str, str]:
    """Return the canonical text of every value that is not a mapping, by dotted path."""
    if isinstance(value, Mapping):
        return {k: v for key, item in value.items() for k, v in _flatten(item, f"{path}.{key}".lstrip(".")).items()}
    return {path: canonical(value)}
