"""Reader of arrays in HDF5 files, by the optional package h5py."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from trainables.common.errors import DataError
from trainables.data.readers.array_path import choose_array, split_key
from trainables.data.readers.limits import require_size
from trainables.data.readers.npy import require_finite, require_numbers


def read_hdf5_shape(path: Path) -> tuple[int, ...]:
    """Read the sizes of the axes of an array without its values; for the arguments see `read_hdf5`.

    Raises:
        DataError: as `read_hdf5`.
    """
    with _opened(path) as dataset:
        return tuple(dataset.shape)


def read_hdf5(path: Path) -> np.ndarray:
    """Return an array of real, finite numbers.

    Args:
        path: an HDF5 file; where that has several arrays, with `KEY` and the name of one, its groups before slashes.

    Raises:
        DataError: h5py is not installed, or the file is missing, damaged, too large, keeps its values in other files,
            or holds anything else than one array of real numbers.
    """
    with _opened(path) as dataset:
        for shape in (dataset.shape, dataset.chunks or ()):  # a chunk is read as a whole
            require_size(path, shape, dataset.dtype)
        array = np.empty(dataset.shape, dataset.dtype)
        dataset.read_direct(array)
    require_finite(path, array)
    return array


def hdf5_names(path: Path) -> list[str]:
    """Return the names of the arrays in an HDF5 file, with their groups before slashes.

    Raises:
        DataError: h5py is not installed, or the file is missing or damaged.
    """
    with _file(path) as file:
        return _names(file)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Open the dataset that a path means; links are not followed, so that no other file is read."""
    with _file(path) as file:
        dataset = file[choose_array(path, _names(file))]
        if dataset.is_virtual or dataset.external:
            raise DataError(f"{path}: keeps its values in other files (expected them in this file)")
        require_numbers(path, dataset.shape or (), dataset.dtype)
        yield dataset


def _names(file: Any) -> list[str]:
    names: list[str] = []

    def collect(name: str, item: Any) -> None:
        if hasattr(item, "shape"):  # a dataset
            names.append(name)

    file.visititems(collect)
    return names


@contextlib.contextmanager
def _file(path: Path) -> Iterator[Any]:
    try:
        import h5py
    except ImportError:
        text = "reading HDF5 needs the package h5py. Fix: pip install 'pretext-study[hdf5]'"
        raise DataError(f"{path}: {text}") from None
    try:
        with h5py.File(split_key(str(path))[0], "r", locking=False) as file:
            yield file
    except (DataError, MemoryError):
        raise
    except Exception as error:  # h5py raises errors of any type, depending on the byte that is damaged
        raise DataError(f"{path}: not a readable array ({' '.join(str(error).split())[:120]})") from None
