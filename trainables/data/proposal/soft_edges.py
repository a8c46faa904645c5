"""Masks whose edges were smoothed: numbers between the background's and the structure's, in thin seams."""

from __future__ import annotations

import cv2
import numpy as np

SEVERAL = 4
"""Numbers between 0 and the largest from which a mask may be smoothed; fewer are structures."""

SEAM = 5
"""Pixels from a smoothed edge to the background and to the structure, at most; resizing by four leaves as many."""

LEAST = 32
"""Least number of a smoothed structure: the edges of small numbers, such as 1, are rounded to few numbers."""

_WITHIN = 0.95  # share of the numbers in between that must lie in seams


def soft_edges(marks: np.ndarray) -> int:
    """Return how many numbers of a mask lie in seams between 0 and its largest number; 0 for a mask of structures.

    Args:
        marks: whole numbers `(H, W)`.

    Example:
        >>> disc = np.zeros((32, 32), np.uint8)
        >>> disc[8:24, 8:24] = 255
        >>> soft_edges(disc), soft_edges(cv2.GaussianBlur(disc, (5, 5), 1.0)) > SEVERAL
        (0, True)
    """
    numbers = np.unique(marks)
    between = len(numbers) - 2  # without background and structure
    if between < SEVERAL or numbers[0] != 0 or numbers[-1] < LEAST:
        return 0
    top = marks > numbers[-1] * 0.9  # a smoothed structure of few pixels may not reach its own number everywhere
    inside = (marks > 0) & ~top
    kernel = np.ones((2 * SEAM + 1, 2 * SEAM + 1), np.uint8)
    near = [cv2.dilate(part.astype(np.uint8), kernel) > 0 for part in (marks == 0, top)]
    seams, count = int((inside & near[0] & near[1]).sum()), int(inside.sum())
    return between if count and seams >= _WITHIN * count and count < 2 * int(top.sum()) else 0
