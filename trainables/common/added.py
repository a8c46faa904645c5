"""Digests of settings: fields that were added to a dataclass later are left out at their default.

Digests name trained weights and decoded frames. A new setting must not change the name of what was made without it.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

ADDED: Mapping[str, Any] = {"added": True}
"""Metadata of a dataclass's field whose value is left out of digests as long as it is the field's default."""


def digested_fields(settings: Any) -> list[str]:
    """Return the names of the fields of a dataclass's instance that determine its digest."""
    cls: Any = type(settings)
    return [name for name, default in _fields(cls) if default is _ALWAYS or getattr(settings, name) != default]


def digested(settings: Any) -> dict[str, Any]:
    """Return the values of the fields that determine the digest of a dataclass's instance, by name.

    Example:
        >>> @dataclasses.dataclass(frozen=True)
        ... class Reader:
        ...     path: str = ""
        ...     channels: str = dataclasses.field(default="grey", metadata=ADDED)
        >>> digested(Reader()), digested(Reader(channels="rgb"))
        ({'path': ''}, {'path': '', 'channels': 'rgb'})
    """
    values = dataclasses.asdict(settings)
    return {name: values[name] for name in digested_fields(settings)}


_ALWAYS: Any = object()


@functools.cache
def _fields(cls: Any) -> tuple[tuple[str, Any], ...]:
    """Return the name of each field of a dataclass with the default at which it is left out, or `_ALWAYS`."""
    return tuple(
        (field.name, field.default if field.metadata.items() >= ADDED.items() else _ALWAYS)
        for field in dataclasses.fields(cls)
        if field.init
    )
