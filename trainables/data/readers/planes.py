"""Labels of frames that lie in space, at the pixels of other frames: a mask on its image by their positions.

A position is `(3, 3)` as in `Pixels.planes`: center of the first pixel, step to the next row, step to the next column.
"""

from __future__ import annotations

import numpy as np

_SAME = 0.5  # of a pixel: what lies nearer has the same nearest pixel
_TIE = 1e-3  # of a pixel: places this near to the middle between two pixels take the first one
_PARALLEL = 1e-3  # of the normals' cosine
_THIN = 0.1  # mm between two planes that are one


class PlaneMismatch(ValueError):
    """Frames that do not cover the same part of the patient along the same axes."""


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
        PlaneMismatch: a frame has no counterpart, or is rotated against it or does not end at the same places.
    """
    placed = np.zeros((len(expected), *shape), labels.dtype)
    pairs = _pairs(found, expected)
    missing = len(expected) - len(pairs)
    if len(pairs) < len(found):
        raise PlaneMismatch(f"{len(found) - len(pairs)} of its {len(found)} frames lie in no frame's plane")
    if missing and not sparse:
        raise PlaneMismatch(f"{missing} of {len(expected)} frames have none in their plane")
    for source, target in pairs:
        rows, columns = _nearest(found[source], labels.shape[1:], expected[target], shape)
        placed[target] = labels[source][rows, columns]
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


def _nearest(
    found: np.ndarray, size: tuple[int, ...], expected: np.ndarray, shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the (rows, columns) of the nearest found pixels, `(*shape)` each."""
    down, right = (found[axis] / (found[axis] @ found[axis]) for axis in (1, 2))
    index = np.indices(shape)
    indices = []
    for axis, length in ((down, size[0]), (right, size[1])):
        steps = np.array([expected[1] @ axis, expected[2] @ axis])
        along = int(np.argmax(np.abs(steps)))
        tilt = abs(steps[1 - along]) * (shape[1 - along] - 1)
        places = (expected[0] - found[0]) @ axis + steps[0] * index[0] + steps[1] * index[1]
        coarser = max(1.0, abs(float(steps[along])))
        if tilt >= _SAME * coarser:
            raise PlaneMismatch(f"rotated by up to {tilt:.3g} pixels")
        half = abs(float(steps[along])) / 2
        ends = abs(places.min() - half + 0.5), abs(places.max() + half - (length - 0.5))
        if max(ends) >= _SAME * coarser + tilt:
            raise PlaneMismatch(f"not at the same place, by up to {max(ends):.3g} pixels")
        indices.append(np.clip(np.ceil(places - 0.5 - _TIE), 0, length - 1).astype(int))
    return indices[0], indices[1]
