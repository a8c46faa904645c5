"""What is wrong with settings: every problem with its place, told all at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from trainables.common.errors import UserError

Keys = tuple[str | int, ...]
"""The way to a value: mapping keys and list indices."""


@dataclass(frozen=True)
class Problem:
    """Something wrong at one place; `where` is the file and line, or the command-line option."""

    keys: Keys
    message: str
    where: str = ""

    def __str__(self) -> str:
        return ": ".join(part for part in (self.where, dotted(self.keys), self.message) if part)


class SpecError(UserError):
    """Everything that is wrong with a study file, or with settings in general.

    Attributes:
        problems: in the order found, each once.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(dict.fromkeys(problems))
        lines = [str(problem) for problem in self.problems]
        super().__init__(lines[0] if len(lines) == 1 else "\n  ".join([f"{len(lines)} problems", *lines]))


def dotted(keys: Keys) -> str:
    """The keys as people write them: `data.fractions[0]`."""
    text = ""
    for key in keys:
        text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else key
    return text


def found(value: Any) -> str:
    """What was found, in a message."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return f"a mapping ({', '.join(map(str, list(value)[:4]))})" if value else "an empty mapping"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
