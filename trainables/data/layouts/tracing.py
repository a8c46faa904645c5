"""Rasterization of traced contours to masks."""

from __future__ import annotations

import numpy as np


def fill_polygon(outline: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Fill the pixels whose centre lies inside a polygon or on its border, as EchoNet-Dynamic's reference code does.

    The rays to the right and to the left of a pixel each count the edges that they cross, with the half-open rule taken
    from opposite sides; parities that differ mean that the pixel is on the border (O'Rourke, Computational Geometry in
    C, section 7.4). Self-crossing outlines follow the even-odd rule. The vertices are rounded to whole pixels first, so
    all comparisons are exact.

    Args:
        outline: `(points, 2)`, columns x and y in pixels.
        shape: (rows, columns) of the mask; the polygon may reach outside.

    Returns:
        Bool `(rows, columns)`.
    """
    mask = np.zeros(shape, bool)
    vertices = np.rint(outline).astype(np.int64)
    low = np.maximum(vertices.min(axis=0), 0)
    high = np.minimum(vertices.max(axis=0), np.array(shape[::-1]) - 1)
    if (low > high).any():
        return mask
    columns = np.arange(low[0], high[0] + 1)[None, :, None]
    rows = np.arange(low[1], high[1] + 1)[:, None]

    (ax, ay), (bx, by) = vertices.T, np.roll(vertices, 1, axis=0).T
    run, rise = bx - ax, by - ay
    # Side of the edge's crossing with the pixel's row, times |rise|: positive when it lies to the right.
    side = (ax * rise + (rows - ay) * run)[:, None, :] - columns * rise
    side = side * np.sign(rise)
    upward = (ay > rows) != (by > rows)
    downward = (ay < rows) != (by < rows)
    right = (upward[:, None, :] & (side > 0)).sum(axis=2) % 2
    left = (downward[:, None, :] & (side < 0)).sum(axis=2) % 2
    inside = (right == 1) | (right != left)
    mask[low[1] : high[1] + 1, low[0] : high[0] + 1] = inside
    # A tip that only touches a row is missed by both rays' parities; the vertices belong to the polygon.
    x, y = vertices.T
    seen = (x >= 0) & (x < shape[1]) & (y >= 0) & (y < shape[0])
    mask[y[seen], x[seen]] = True
    return mask


def polygon_area(outline: np.ndarray) -> float:
    """Return a polygon's area in square pixels (shoelace formula); `outline` is `(points, 2)`."""
    x, y = outline.T
    return float(abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2)
