"""Plain values of settings: JSON-able mappings, their canonical text, and component names."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from study.config.spec import COMPONENTS, Components
from trainables.common.added import digested_fields
from trainables.common.plugin_code import code_of

UNCHANGED = frozenset({str, int, bool, type(None)})
"""Types of most values, which canonical text takes as they are."""

SCALARS = UNCHANGED | {float}
"""Types of most values that are plain already."""

MAX_KNOWN = 50_000
"""Number of settings whose plain values are remembered; thousands of configurations share most of their parts."""

_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)

_known: dict[int, tuple[Any, Components, dict[str, Any]]] = {}
"""Settings, which stay alive so that no others get their identity, with their plain values, by identity."""


def plain(settings: Any, components: Components = COMPONENTS) -> dict[str, Any]:
    """Return the mapping that `parse` reads as `settings`: JSON-able, with defaults and component names.

    Fields that were added later (`ADDED`) are left out as long as they have their default. A component of a plug-in has
    the hash of its code (`code`), so that changed code makes other artifacts.

    Example:
        >>> from trainables.engine.optim.optimizers import Adam
        >>> plain(Adam(lr=0.01))["name"]
        'adam'
    """
    values: dict[str, Any] = _plain(settings, components)
    return dict(values) if isinstance(values, dict) else values


def canonical(value: Any) -> str:
    """Return JSON text that is equal for equal values: sorted keys, no spaces, exact floats, 1.0 as 1.

    Example:
        >>> canonical({"b": 1.0, "a": (0.5, None)})
        '{"a":[0.5,null],"b":1}'
    """
    return _ENCODER.encode(_integral(value))


def component_name(cls: type, components: Components = COMPONENTS) -> str | None:
    """Return the registered name of a component's class, or None for any other class."""
    registries = (registry for base in cls.__mro__ for registry in components.get(base, ()))
    return next((name for registry in registries if (name := registry.name_of(cls)) is not None), None)


def _integral(value: Any) -> Any:
    """Return `value` with every integral float converted to an int."""
    if type(value) in UNCHANGED:
        return value
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    if isinstance(value, dict | Mapping):
        return {key: item if type(item) in UNCHANGED else _integral(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_integral(item) for item in value]
    return value


def _code(cls: type) -> dict[str, str]:
    """Return the hash of a plug-in's code as a further value of its components; nothing for those of this program."""
    code = code_of(cls)
    return {} if code is None else {"code": code}


def _plain(value: Any, components: Components) -> Any:
    if type(value) in SCALARS:
        return value
    known = _known.get(id(value))
    if known is not None and known[0] is value and known[1] is components:
        return known[2]
    if isinstance(value, int | float | str):
        return value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {name: _plain(item, components) for name, item in value.items()}
    if isinstance(value, Sequence):
        return [_plain(item, components) for item in value]
    if not dataclasses.is_dataclass(value):
        raise TypeError(f"{value!r}: not something that settings can hold")
    name = component_name(type(value), components)
    named = {} if name is None else {"name": name, **_code(type(value))}
    values = named | {field: _plain(getattr(value, field), components) for field in digested_fields(value)}
    if len(_known) >= MAX_KNOWN:
        _known.clear()
    _known[id(value)] = (value, components, values)
    return values
