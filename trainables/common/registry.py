"""Named choices: how a study file's `name: simclr` finds its class."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Generic, TypeVar

from trainables.common.errors import UserError, did_you_mean

T = TypeVar("T")


class Registry(Generic[T], Mapping[str, T]):
    """A mapping from name to choice whose misses explain themselves.

    Args:
        kind: what the names are, for messages ("pretext method").
        entries: the choices that ship with the package.
    """

    def __init__(self, kind: str, entries: Mapping[str, T]) -> None:
        self.kind = kind
        self._entries = dict(entries)

    def add(self, name: str, entry: T) -> None:
        """Make `entry` available as `name`; a taken name is refused."""
        if name in self._entries:
            raise ValueError(f"{self.kind} '{name}' is already registered")
        self._entries[name] = entry

    def __getitem__(self, name: str) -> T:
        try:
            return self._entries[name]
        except KeyError:
            raise UserError(f"unknown {self.kind} '{name}'{did_you_mean(name, self._entries)}") from None

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)
