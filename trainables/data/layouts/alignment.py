"""Alignment of masks to their images by the geometry that both files describe."""

from __future__ import annotations

import numpy as np

from trainables.data.readers.grid import Grid
from trainables.data.readers.resample import GridMismatch, nearest_voxels, resample
from trainables.data.records import DatasetIssue

_FIX = "Fix: resample it onto the image's grid, or copy the image's geometry if it was drawn on that grid"


def align_mask(
    labels: np.ndarray, found: Grid, expected: Grid, file: str
) -> tuple[np.ndarray | None, tuple[DatasetIssue, ...]]:
    """Return a mask's labels at the voxels of its image.

    Where both files say where their voxels lie, the mask is reoriented, or resampled to the nearest voxel. A mask whose
    file does not say it, or whose image's does not, has the image's voxel order if it has the image's shape.

    Args:
        labels: array `(*found.shape, ...)`.
        found: the mask's grid.
        expected: the image's grid.
        file: file of the mask, for the issues.

    Returns:
        Array `(*expected.shape, ...)` or None, and the issues: a note where the mask was resampled or its place is
        assumed, a loss where it does not fit.
    """
    same_shape = found.shape == expected.shape
    if found.affine is None or expected.affine is None:
        if same_shape:
            return labels, _assumption(found, expected, file)
        return None, (_mismatch(found, expected, file),)
    try:
        return resample(labels, found, expected), _resampling(found, expected, file)
    except GridMismatch as reason:
        if same_shape and (found.stock or expected.stock):
            return labels, _assumption(found, expected, file)
        return None, (_mismatch(found, expected, file, f": {reason}"),)


def _mismatch(found: Grid, expected: Grid, file: str, reason: str = "") -> DatasetIssue:
    sizes = found.shape != expected.shape
    text = f"mask and image differ in {'size' if sizes else 'geometry'}{reason} (found {found}, expected {expected})"
    kind = "mask size differs from the image" if sizes else "mask geometry differs from the image"
    return DatasetIssue(file, "", kind, f"{text}. {_FIX}", "loss", "mask")


def _resampling(found: Grid, expected: Grid, file: str) -> tuple[DatasetIssue, ...]:
    """Return a note where voxels are left out or repeated."""
    order, places = nearest_voxels(found, expected)
    if all(sorted(place.tolist()) == list(range(found.shape[axis])) for axis, place in zip(order, places, strict=True)):
        return ()
    text = f"mask of another voxel size, resampled to the nearest voxel (found {found}, expected {expected})"
    return (DatasetIssue(file, "", "mask resampled", text),)


def _assumption(found: Grid, expected: Grid, file: str) -> tuple[DatasetIssue, ...]:
    """Return a note where only one of the two files describes its place."""
    unknown = [grid.affine is None or grid.stock for grid in (found, expected)]
    if all(unknown):
        return ()
    which = "mask" if unknown[0] else "image"
    text = f"the {which}'s header does not describe its place in the patient; the mask is taken in the image's voxel "
    return (DatasetIssue(file, "", "mask geometry assumed", text + f"order (found {found}, expected {expected})"),)
