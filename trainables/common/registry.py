"""Registries, which map a name in a study file (`name: simclr`) to a class."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Generic, TypeVar

from trainables.common.errors import UserError, did_you_mean

T = TypeVar("T")


class Registry(Generic[T], Mapping[str, T]):
    """A mapping from name to entry that suggests the closest name for an unknown one.

    Args:
        kind: singular noun for an entry in error messages, such as "pretext method".
        entries: initial entries by name.

    Example:
        >>> optimizers = Registry("optimizer", {"adam": dict})
        >>> optimizers.add("sgd", list)
        >>> sorted(optimizers)
        ['adam', 'sgd']
        >>> optimizers["adamm"]
        Traceback (most recent call last):
        ...
        trainables.common.errors.UserError: unknown optimizer 'adamm'; did you mean 'adam'?
    """

    def __init__(self, kind: str, entries: Mapping[str, T]) -> None:
        self.kind = kind
        self._entries = dict(entries)

    def add(self, name: str, entry: T) -> None:
        """Register `entry` as `name`.

        Raises:
            ValueError: the name is already registered.
        """
        if name in self._entries:
            raise ValueError(f"{self.kind} '{name}' is already registered")
        self._entries[name] = entry

    def remove(self, name: str) -> None:
        """Remove the entry `name`, such as one of a plug-in that could not be imported to its end."""
        del self._entries[name]

    def name_of(self, entry: object) -> str | None:
        """Return the name under which `entry` itself is registered; None if it is not."""
        return next((name for name, known in self._entries.items() if known is entry), None)

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
