"""Which trials no other beats in everything."""

from __future__ import annotations

import numpy as np


def front(costs: np.ndarray) -> np.ndarray:
    """The points that no other point is at least as good as in every cost and better in one.

    Args:
        costs: `(N, K)`, less being better.

    Returns:
        Bool `(N,)`.
    """
    no_worse = (costs[:, None] <= costs[None]).all(2)
    better = (costs[:, None] < costs[None]).any(2)
    return np.asarray(~(no_worse & better).any(0))
