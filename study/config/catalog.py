"""Find study files by name, and list those there are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import search_spaces
from study.config.documents import read
from trainables.common.errors import UserError, did_you_mean

SUFFIXES = (".yaml", ".yml")


def find(source: str) -> Path:
    """Return the path of a study file.

    A source with a YAML suffix is a path. Any other is a name: SOURCE.yaml is looked up in the current folder, then
    among the study files of the package.

    Raises:
        UserError: no such file; the message lists the known names.
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
    listed = f"; known: {', '.join(names)}" if names else ""
    hint = did_you_mean(source, names)
    raise UserError(f"no study '{source}'{hint if 'mean' in hint else ''}{listed}")


def available() -> list[tuple[str, str]]:
    """Return name and title of every study file in the current folder and in the package, sorted by name."""
    titles: dict[str, str] = {}
    for folder in (Path(), search_spaces.FOLDER):
        for name, title in _studies(folder):
            titles.setdefault(name, title)
    return sorted(titles.items())


def _studies(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield name and title of the study files in a folder; skip other YAML files."""
    for path in sorted(folder.glob("*.yaml")):
        try:
            values = read(path, search_spaces.FOLDER).values
        except UserError:
            continue
        if {"data", "network", "pretext"} <= values.keys():
            yield path.stem, str(values.get("title") or "")
