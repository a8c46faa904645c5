"""Keys of a study file that stand a level too high, with the place where they belong."""

from __future__ import annotations

from typing import Any, get_type_hints

from study.config.problems import Keys
from study.config.renamed import settings_classes
from study.config.spec import Components

DEPTH = 2
"""Levels below a key's place that are searched for it."""

MOST = 3
"""Most places that are named; a key that stands in more says nothing."""


def nested_key(cls: type, keys: Keys, components: Components) -> str | None:
    """Return the message for a key that the settings below know, or None where none or many do.

    Args:
        cls: settings class that has no such key.
        keys: path of the key in the study file.
        components: registries of each component base class.
    """
    name = str(keys[-1])
    level: list[tuple[tuple[str, ...], type]] = [((), cls)]
    for _ in range(DEPTH):
        level = [
            ((*path, field), below)
            for path, each in level
            for field, kind in _hints(each).items()
            for below in settings_classes(kind, components)
        ]
        places = sorted({".".join(map(str, (*keys[:-1], *path, name))) for path, each in level if name in _hints(each)})
        if places:
            return f"unknown key; did you mean {' or '.join(places)}?" if len(places) <= MOST else None
    return None


def _hints(cls: type) -> dict[str, Any]:
    return get_type_hints(cls)
