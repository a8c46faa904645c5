"""Places that are spread evenly over a list."""

from __future__ import annotations

import numpy as np


def spread_evenly(length: int, count: int) -> np.ndarray:
    """Return at most `count` different places in a list of `length` items, int64, from the first to the last one.

    Example:
        >>> spread_evenly(10, 4).tolist(), spread_evenly(2, 4).tolist(), spread_evenly(0, 4).tolist()
        ([0, 3, 6, 9], [0, 1], [])
    """
    return np.unique(np.linspace(0, length - 1, min(count, length)).round().astype(np.int64))
