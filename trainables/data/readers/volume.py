"""Reader of volumes in NIfTI and MetaImage files as arrays with their grid."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from trainables.common.errors import DataError
from trainables.data.readers import metaimage, nifti
from trainables.data.readers.grid import Grid, choose_slice_axis

METAIMAGE = (".mhd", ".mha")
SUFFIXES = (*nifti.SUFFIXES, *METAIMAGE)


def read_volume(path: Path, slice_axis: int | None = None) -> tuple[np.ndarray, Grid]:
    """Return a file's voxels, an array of three axes, and their grid.

    Args:
        path: a NIfTI or MetaImage file; an image of two axes is a volume of one slice.
        slice_axis: axis of the slices, from 0; None to choose it by `choose_slice_axis`.

    Raises:
        DataError: the file is missing, damaged, has more axes, or values that are not finite.
    """
    if is_metaimage(path):
        meta = metaimage.read_metaimage(path)
        array, grid = meta.array, metaimage_grid(meta.array.shape, meta, slice_axis)
    else:
        array, header = nifti.read_nifti(path, slice_axis)
        grid = header.grid
    if not 2 <= array.ndim <= 3:
        fix = "Fix: write a cine as three axes, the last one time, and set `time: true`; write one volume a file"
        raise DataError(f"{path}: unsupported shape (found {array.shape}, expected one image or one volume). {fix}")
    if not np.isfinite(array).all():
        raise DataError(f"{path}: voxel values that are not finite")
    return array.reshape(grid.shape), grid


def read_volume_grid(path: Path, slice_axis: int | None = None) -> Grid:
    """Read the grid of a file without its voxels; for the arguments see `read_volume`.

    Raises:
        DataError: the file is missing or has no valid header.
    """
    if is_metaimage(path):
        header = metaimage.read_metaimage_header(path)
        return metaimage_grid(header.size, header, slice_axis)
    return nifti.read_nifti_header(path, slice_axis).grid


def frames_grid(path: Path) -> Grid:
    """Read the grid of a file whose array is (column, row, frame), as ultrasound datasets store sequences.

    It has no affine, so that frames are upright as they are stored.

    Raises:
        DataError: the file is missing or has no valid header.
    """
    return replace(read_volume_grid(path, slice_axis=2), affine=None)


def is_metaimage(path: Path) -> bool:
    """Return True for a file that is a MetaImage by its suffix."""
    return path.name.lower().endswith(METAIMAGE)


def metaimage_grid(
    shape: tuple[int, ...], meta: metaimage.MetaImage | metaimage.MetaImageHeader, slice_axis: int | None = None
) -> Grid:
    """Return the grid of a MetaImage; its coordinates are DICOM's (left, posterior, head).

    Args:
        shape: sizes of the array's axes.
        meta: the file or its header.
        slice_axis: axis of the slices, from 0; None to choose it.
    """
    sizes = (shape[0], shape[1] if len(shape) > 1 else 1, shape[2] if len(shape) > 2 else 1)
    axis = choose_slice_axis(shape, meta.spacing, slice_axis)
    if meta.spacing is None:
        return Grid(sizes, None, None, axis)
    axes = min(len(meta.spacing), 3)
    zooms = (*meta.spacing[:3], *(1.0,) * (3 - axes))
    if meta.direction is None and meta.offset is None:
        return Grid(sizes, zooms, None, axis)  # type: ignore[arg-type]  # three zooms
    affine = np.eye(4)
    if meta.direction is not None:
        affine[:axes, :axes] = np.array(meta.direction)[:axes, :axes].T
    affine[:3, :3] *= zooms
    if meta.offset is not None:
        affine[:axes, 3] = meta.offset[:axes]
    return Grid(sizes, zooms, affine, axis, stock=bool(np.array_equal(affine, np.eye(4))))  # type: ignore[arg-type]
