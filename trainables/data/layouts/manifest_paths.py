"""Paths in a manifest: below the dataset's folder, written as any operating system writes them."""

from __future__ import annotations

import unicodedata
from pathlib import Path, PurePosixPath

from trainables.data.readers.array_path import KEY, split_key
from trainables.data.readers.tables import is_file, is_inside


def dataset_file(root: Path, cell: str) -> str | None:
    """Return the path relative to the dataset's folder that a cell means, whether or not the file exists.

    An absolute path below the folder is accepted. Where no file has the path as it is written, backslashes are tried
    as slashes, and letters with accents in both of Unicode's forms.

    Args:
        root: the dataset's folder.
        cell: the path as the manifest gives it.

    Returns:
        The path with slashes, and the name of an array where the cell has one; None for a path that leads out of the
        folder.
    """
    name, key = split_key(cell)
    relative = _below(root, name) if PurePosixPath(name).is_absolute() else name
    if relative is None or not is_inside(relative):
        return None
    slashed = relative.replace("\\", "/")
    for path in (relative, slashed, *(unicodedata.normalize(form, slashed) for form in ("NFC", "NFD"))):
        if is_file(root / path):
            return PurePosixPath(path).as_posix() + (f"{KEY}{key}" if key else "")
    return relative


def exists(root: Path, path: str) -> bool:
    """Return True if there is the file of a path that `dataset_file` returned."""
    return is_file(root / split_key(path)[0])


def _below(root: Path, cell: str) -> str | None:
    """Return an absolute path relative to the folder or to what links lead it to; None where it is not below them."""
    path = PurePosixPath(cell)
    for folder in (root.absolute(), root.resolve()):
        if path.is_relative_to(folder):
            return path.relative_to(folder).as_posix()
    return None
