"""Labels of frames that lie in space, at the pixels of other frames: a mask on its image by their positions.

A position is `(3, 3)` as in `Pixels.planes`: center of the first pixel, step to the next row, step to the next column.
"""

from __future__ import annotations

import numpy as np

from trainables.data.readers.grid import Grid
from trainables.data.readers.resample import GridMismatch, resample

_PARALLEL = 1e-3  # of the normals' cosine
_THIN = 0.1  # mm between two planes that are one


def place_frames(
    labels: np.ndarray, found: np.ndarray, expected: np.ndarray, shape: tuple[int, int], *, sparse: bool = False
) -> np.ndarray:
    """Return labels at the nearest pixels of other frames; rows and columns may be reversed, swapped and divided.

    Args:
        labels: label numbers `(n, h, w)`.
        found: positions of the labels' frames `(n, 3, 3)`.
        expected: positions of the wanted frames `(m, 3, 3)`.
        shape: (rows, columns) of the wanted frames.
        sparse: True where frames without labels may be missing, as in a segmentation object; they become 0.

    Returns:
        Label numbers `(m, *shape)`.

    Raises:
        GridMismatch: a frame has no counterpart, or is rotated against it or does not end at the same places.
    """
    placed = np.zeros((len(expected), *shape), labels.dtype)
    pairs = _pairs(found, expected)
    missing = len(expected) - len(pairs)
    if len(pairs) < len(found):
        raise GridMismatch(f"{len(found) - len(pairs)} of its {len(found)} frames lie in no frame's plane")
    if missing and not sparse:
        raise GridMismatch(f"{missing} of {len(expected)} frames have none in their plane")
    for source, target in pairs:
        grids = _grid(found[source], labels.shape[1:]), _grid(expected[target], shape)
        placed[target] = resample(labels[source].T[..., None], *grids)[..., 0].T
    return placed


def _pairs(found: np.ndarray, expected: np.ndarray) -> list[tuple[int, int]]:
    """Return the pairs (found, expected) of frames in the same plane; by their order where planes are moments."""
    if len(found) == len(expected) and all(map(_coplanar, found, expected)):
        return [(index, index) for index in range(len(found))]
    pairs = []
    free = list(range(len(expected)))
    for source, plane in enumerate(found):
        target = next((index for index in free if _coplanar(plane, expected[index])), None)
        if target is not None:
            free.remove(target)
            pairs.append((source, target))
    return pairs


def _coplanar(one: np.ndarray, other: np.ndarray) -> bool:
    normals = [np.cross(plane[1], plane[2]) for plane in (one, other)]
    normals = [normal / max(float(np.linalg.norm(normal)), 1e-12) for normal in normals]
    return bool(abs(normals[0] @ normals[1]) > 1 - _PARALLEL and abs((other[0] - one[0]) @ normals[0]) < _THIN)


def _grid(plane: np.ndarray, shape: tuple[int, ...]) -> Grid:
    """Return the grid of one frame, its axes the frame's columns, its rows and the direction across it."""
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1], affine[:3, 3] = plane[2], plane[1], plane[0]
    return Grid((shape[1], shape[0], 1), None, affine).plane()
