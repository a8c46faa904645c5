"""Frames of array files: which axis they follow each other along, and which one holds colors."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trainables.common.errors import DataError
from trainables.data.readers.array_path import HDF5, NPZ, split_key
from trainables.data.readers.colors import Channels
from trainables.data.readers.grid import choose_slice_axis
from trainables.data.readers.hdf5 import hdf5_names, read_hdf5, read_hdf5_shape
from trainables.data.readers.npy import npz_names, read_array, read_array_header

_COLORS = 3


@dataclass(frozen=True)
class ArrayAxes:
    """Meaning of an array's axes; of those of a frame, the first is its rows and the second its columns.

    Attributes:
        frames: number of frames.
        axis: axis along which the frames follow each other, from 0; None for a single image.
    """

    frames: int
    axis: int | None


def array_names(path: Path) -> list[str]:
    """Return the names of a file's arrays; none for a `.npy` file.

    Raises:
        DataError: the file is damaged, or its reader is not installed.
    """
    if _is_hdf5(path):
        return hdf5_names(path)
    return npz_names(path) if path.suffix.lower() in NPZ else []


def read_array_shape(path: Path) -> tuple[int, ...]:
    """Return the sizes of an array's axes.

    Raises:
        DataError: as `read_array_frames`.
    """
    return read_hdf5_shape(path) if _is_hdf5(path) else read_array_header(path).shape


def read_array_axes(path: Path, slice_axis: int | None, channels: Channels) -> ArrayAxes:
    """Read the meaning of an image's axes from its header; for the arguments see `read_array_frames`.

    Raises:
        DataError: as `read_array_frames`.
    """
    return _axes(path, read_array_shape(path), slice_axis, channels)


def read_array_frames(path: Path, slice_axis: int | None = None, channels: Channels | None = None) -> np.ndarray:
    """Return the frames of an array file: `(T, H, W)`, or `(T, H, W, 3)` in color.

    An array of two axes is one frame, one of three a volume of frames. With `channels` "rgb", a last axis of length 3
    holds red, green and blue.

    Args:
        path: a file as in `read_array` or `read_hdf5`.
        slice_axis: axis of the frames, from 0; None to choose it by `choose_slice_axis`.
        channels: channels of the images; None for a mask, which has none.

    Raises:
        DataError: as `read_array`, or the array has other axes, or a last axis that may be colors or slices.
    """
    array = read_hdf5(path) if _is_hdf5(path) else read_array(path)
    axis = _axes(path, array.shape, slice_axis, channels).axis
    frames = array[None] if axis is None else np.moveaxis(array, axis, 0)
    if channels is not None and frames.dtype == bool:
        return frames.astype(np.uint8) * np.uint8(255)
    return frames


def _is_hdf5(path: Path) -> bool:
    return split_key(str(path))[0].lower().endswith(HDF5)


def _axes(path: Path, shape: tuple[int, ...], slice_axis: int | None, channels: Channels | None) -> ArrayAxes:
    colored = channels == "rgb" and len(shape) > 2 and shape[-1] == _COLORS
    space = shape[:-1] if colored else shape
    if not 2 <= len(space) <= 3:
        fix = ""
        if channels == "grey" and len(shape) == 4 and shape[-1] == _COLORS:
            fix = ". Fix: set layout.channels to rgb if the last axis holds colours"
        raise DataError(f"{path}: unsupported shape (found {shape}, expected one image or one volume){fix}")
    if len(space) == 2:
        return ArrayAxes(1, None)
    axis = choose_slice_axis(space, None, slice_axis)
    if channels == "grey" and slice_axis is None and axis == 2 and space[2] == _COLORS:
        raise DataError(
            f"{path}: a last axis of colours or of slices (found the shape {shape}). "
            "Fix: set layout.channels to rgb, or layout.slice_axis to 2"
        )
    return ArrayAxes(space[axis], axis)
