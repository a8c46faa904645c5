"""Paths of arrays: a file, and the name of one of its arrays where it can hold several."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from trainables.common.errors import DataError, did_you_mean

NPY, NPZ, HDF5 = (".npy",), (".npz",), (".h5", ".hdf5")
SUFFIXES = (*NPY, *NPZ, *HDF5)
KEY = "::"
"""Separator of a file and the name of one of its arrays: `case.npz::mask`."""

_SHOWN = 8


def split_key(path: str) -> tuple[str, str]:
    """Return the file and the name of an array in it, "" where the path names none.

    Example:
        >>> split_key("p01/case.npz::mask"), split_key("p01/case.npy")
        (('p01/case.npz', 'mask'), ('p01/case.npy', ''))
    """
    file, _, key = path.partition(KEY)
    return (file, key) if file.lower().endswith((*NPZ, *HDF5)) else (path, "")


def choose_array(path: Path, found: Sequence[str]) -> str:
    """Return the name of the array that a path means: the one that it names, else the only one in the file.

    Args:
        path: the path.
        found: names of the arrays in its file.

    Raises:
        DataError: there is no array of that name, or the path names none and there are several or none.
    """
    file, key = split_key(str(path))
    shown = ", ".join(found[:_SHOWN]) + (", ..." if len(found) > _SHOWN else "") or "none"
    if key and key not in found:
        raise DataError(f"{path}: no array '{key}' in the file (found {shown}){did_you_mean(key, found)}")
    if not key and len(found) != 1:
        fix = f" Fix: name one of them, as {Path(file).name}{KEY}{found[0]}" if found else ""
        raise DataError(f"{path}: expected one array (found {shown}).{fix}")
    return key or found[0]
