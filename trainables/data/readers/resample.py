"""Nearest-neighbor resampling of a mask to the voxel grid of its image."""

from __future__ import annotations

import numpy as np

from trainables.data.readers.grid import Grid

_SAME = 0.5  # of a voxel: what lies nearer than half a voxel has the same nearest voxel
_TIE = 1e-3  # of a voxel: places this near to the middle between two voxels take the lower one


class GridMismatch(ValueError):
    """Two grids that do not cover the same part of the patient along the same axes."""


def resample(labels: np.ndarray, found: Grid, expected: Grid) -> np.ndarray:
    """Return the labels at the voxels of another grid.

    Axes may be permuted, reversed, and divided into more or fewer voxels. Where both grids have a single slice, the
    slices' distance from each other plays no role.

    Args:
        labels: array `(*found.shape, ...)`.
        found: the grid of `labels`, with an affine.
        expected: the wanted grid, with an affine.

    Returns:
        Array `(*expected.shape, ...)` of the nearest voxels' labels.

    Raises:
        GridMismatch: the grids are rotated against each other, or do not end at the same places within half a voxel.
    """
    order, places = nearest_voxels(found, expected)
    turned = labels.transpose(*order, *range(3, labels.ndim))
    return np.asarray(turned[np.ix_(*places)])


@np.errstate(all="ignore")  # affines may hold any numbers; what comes of them is checked
def nearest_voxels(found: Grid, expected: Grid) -> tuple[tuple[int, ...], tuple[np.ndarray, ...]]:
    """Return the axis of `found` along each axis of `expected`, and the index along it for each voxel of `expected`.

    Raises:
        GridMismatch: as in `resample`.
    """
    steps = _voxel_map(found, expected)
    order = _matching_axes(found, expected)
    middle = (np.array(expected.shape) - 1) / 2
    center = steps[:3, :3] @ middle + steps[:3, 3]
    places = []
    for axis, size in enumerate(expected.shape):
        other = order[axis]
        step, sizes = float(steps[other, axis]), (size, found.shape[other])
        tilt = sum(abs(steps[other, one]) * middle[one] for one in range(3) if one != axis)
        along = center[other] + step * (np.arange(size) - middle[axis])
        if sizes == (1, 1):
            along, distance = np.zeros(1), 0.0
        else:  # of the outer faces, from those of the other grid
            distance = abs(center[other] - (sizes[1] - 1) / 2) + abs(abs(step) * size - sizes[1]) / 2
        coarser = max(1.0, abs(step))
        if not tilt + distance < _SAME * coarser:  # also for numbers that overflowed
            reason = "rotated against each other" if tilt >= _SAME * coarser else "not at the same place"
            raise GridMismatch(f"{reason}, by up to {tilt + distance:.3g} voxels")
        places.append(np.clip(np.ceil(along - 0.5 - _TIE), 0, sizes[1] - 1).astype(int))
    return order, tuple(places)


def _voxel_map(found: Grid, expected: Grid) -> np.ndarray:
    """Return the affine `(4, 4)` from the voxels of `expected` to those of `found`."""
    if found.affine is None or expected.affine is None:
        raise GridMismatch("without an affine")
    try:
        return np.asarray(np.linalg.inv(found.affine) @ expected.affine)
    except np.linalg.LinAlgError:
        raise GridMismatch("of an affine that has no inverse") from None


def _matching_axes(found: Grid, expected: Grid) -> tuple[int, ...]:
    """Return for each axis of `expected` the axis of `found` that points along it."""
    assert found.affine is not None
    assert expected.affine is not None
    units = [grid / np.linalg.norm(grid, axis=0) for grid in (found.affine[:3, :3], expected.affine[:3, :3])]
    order = tuple(np.abs(units[0].T @ units[1]).argmax(axis=0).tolist())
    if sorted(order) != [0, 1, 2]:
        raise GridMismatch("rotated against each other")
    return order
