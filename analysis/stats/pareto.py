"""Pareto front of trials with several objectives."""

from __future__ import annotations

import numpy as np


def pareto_front(costs: np.ndarray) -> np.ndarray:
    """Return a mask of the points that no other point dominates.

    A point dominates another when it is at least as good in every cost and better in one.

    Args:
        costs: costs `(N, K)`, lower is better.

    Returns:
        Boolean mask `(N,)`.

    Example:
        >>> pareto_front(np.array([[1.0, 2.0], [2.0, 1.0], [2.0, 2.0]])).tolist()
        [True, True, False]
    """
    no_worse = (costs[:, None] <= costs[None]).all(2)
    better = (costs[:, None] < costs[None]).any(2)
    return np.asarray(~(no_worse & better).any(0))
