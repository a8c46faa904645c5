"""Which studies there are, and where."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import search_spaces
from study.config.documents import read
from trainables.common.errors import UserError, did_you_mean

SUFFIXES = (".yaml", ".yml")


def find(source: str) -> Path:
    """A study's file: the path itself, else SOURCE.yaml in the current folder, else among the study files that ship.

    Raises:
        UserError: there is none; the message has the names there are.
    """
    given = Path(source).expanduser()
    if given.suffix in SUFFIXES:
        if given.is_file():
            return given
        raise UserError(f"{given}: no such study file")
    for folder in (Path(), search_spaces.FOLDER):
        path = folder / f"{source}.yaml"
        if path.is_file():
            return path
    names = [name for name, _ in available()]
    listed = f"; there are: {', '.join(names)}" if names else ""
    hint = did_you_mean(source, names)
    raise UserError(f"no study '{source}'{hint if 'mean' in hint else ''}{listed}")


def available() -> list[tuple[str, str]]:
    """Name and title of every study file in the current folder and among those that ship."""
    found: dict[str, str] = {}
    for folder in (Path(), search_spaces.FOLDER):
        for name, title in _studies(folder):
            found.setdefault(name, title)
    return sorted(found.items())


def _studies(folder: Path) -> Iterator[tuple[str, str]]:
    """The files of a folder that hold a study; other YAML files are passed over."""
    for path in sorted(folder.glob("*.yaml")):
        try:
            values = read(path, search_spaces.FOLDER).values
        except UserError:
            continue
        if {"data", "network", "pretext"} <= values.keys():
            yield path.stem, str(values.get("title") or "")
