"""Problems of a study file: each with its location, all reported in one error."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from trainables.common.errors import UserError

Keys = tuple[str | int, ...]
"""Path to a value: mapping keys and list indices."""


@dataclass(frozen=True)
class Problem:
    """One invalid value.

    Attributes:
        keys: path to the value in the study file; empty for the file itself.
        message: text that says what was found and what was expected.
        location: file and line ("study.yaml:12") or command-line option ("--set a.b"); empty where unknown.
        unknown: True for a key, name or choice that does not exist, so that no factor's level can make it valid; False
            for any other problem.
    """

    keys: Keys
    message: str
    location: str = ""
    unknown: bool = False

    def __str__(self) -> str:
        path = dotted(self.keys)
        given = f"--set {path}" == self.location  # this location says the path already
        return ": ".join(part for part in (self.location, "" if given else path, self.message) if part)


class SpecError(UserError):
    """Error with every problem of a study file or of other settings.

    Attributes:
        problems: tuple of problems in the order of discovery, without duplicates.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(dict.fromkeys(problems))
        lines = [str(problem) for problem in self.problems]
        super().__init__(lines[0] if len(lines) == 1 else "\n  ".join([f"{len(lines)} problems", *lines]))


def dotted(keys: Keys) -> str:
    """Return the path as users write it.

    Example:
        >>> dotted(("data", "fractions", 0))
        'data.fractions[0]'
    """
    text = ""
    for key in keys:
        text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else key
    return text


def describe(value: Any) -> str:
    """Return a short description of a value for messages, at most 60 characters of its own text.

    Example:
        >>> describe([1, 2])
        'a list of 2'
    """
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
