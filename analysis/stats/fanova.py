"""Functional ANOVA of random forests: main effect of each setting.

After Hutter et al. (2014), "An efficient approach for assessing hyperparameter importance". Optuna's evaluator computes
the same fractions tree by tree in Python, too slowly to be repeated for a few hundred resamples.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import sklearn
from sklearn.tree import DecisionTreeRegressor

DEPTH = 10
"""Largest depth of a tree."""

Values = npt.NDArray[np.float64]


def main_effects(
    settings: Values,
    values: Values,
    bounds: Values,
    trees: int,
    random: np.random.Generator,
    choices: Sequence[int] = (),
) -> Values:
    """Return the fraction of the variance of a forest's prediction that each setting explains alone.

    Every tree is fitted to a resample of the trials. Its variance is that over the whole box of settings, with uniform
    measure. The fractions add up to 1 without interactions and to less with them.

    Args:
        settings: settings `(n, K)` of n trials, each on the scale on which it is uniformly distributed.
        values: value of each trial `(n,)`.
        bounds: lowest and highest value of each setting `(K, 2)`.
        trees: number of trees, at least 1.
        random: random stream of the resamples.
        choices: columns of unordered choices 0, 1, ..., with bounds -0.5 and half above the last.

    Returns:
        Means over trees `(K,)` in [0, 1]; zeros where no tree splits.
    """
    found = []
    settings = np.ascontiguousarray(settings, np.float32)  # as scikit-learn's trees have them
    with sklearn.config_context(skip_parameter_validation=True):
        for _ in range(trees):
            drawn = random.integers(len(values), size=len(values))
            tree = DecisionTreeRegressor(max_depth=DEPTH, random_state=int(random.integers(2**31)))
            own = _sorted_choices(settings[drawn], values[drawn], choices)
            effects = _effects(tree.fit(own, values[drawn], check_input=False).tree_, bounds)
            if effects is not None:
                found.append(effects)
    return np.mean(found, axis=0) if found else np.zeros(settings.shape[1])


def _sorted_choices(settings: npt.NDArray[Any], values: Values, choices: Sequence[int]) -> npt.NDArray[Any]:
    """Return settings with each choice replaced by its rank in mean value, so that one split can separate any two sets.

    After Breiman et al. (1984), "Classification and regression trees". A choice without a value keeps a mean of zero.
    """
    for column in choices:
        codes = settings[:, column].astype(np.intp)
        means = np.bincount(codes, values) / np.maximum(np.bincount(codes), 1)
        settings[:, column] = np.argsort(np.argsort(means, kind="stable"))[codes]
    return settings


def _effects(tree: Any, bounds: Values) -> Values | None:
    """Return the fraction of a tree's variance that each setting explains alone; None for a constant tree."""
    leaves, boxes = _leaf_boxes(tree, bounds)
    value = tree.value[leaves, 0, 0]
    sides = (boxes[:, :, 1] - boxes[:, :, 0]) / (bounds[:, 1] - bounds[:, 0])
    volume = sides.prod(axis=1)
    value = value - volume @ value
    total = float(volume @ value**2)
    if total <= 0:
        return None
    return _marginal_variances(boxes, (value * volume)[:, None] / sides) / (bounds[:, 1] - bounds[:, 0]) / total


def _leaf_boxes(tree: Any, bounds: Values) -> tuple[npt.NDArray[np.intp], Values]:
    """Return the leaves' nodes `(L,)` and the box of settings `(L, K, 2)` of each."""
    boxes = np.empty((tree.node_count, *bounds.shape))
    boxes[0] = bounds
    level = np.zeros(1, np.intp)
    while len(level):
        level = level[tree.children_left[level] >= 0]
        left, right, feature = tree.children_left[level], tree.children_right[level], tree.feature[level]
        boxes[left] = boxes[right] = boxes[level]
        boxes[left, feature, 1] = boxes[right, feature, 0] = tree.threshold[level]
        level = np.concatenate([left, right])
    leaves = np.flatnonzero(tree.children_left < 0)
    return leaves, boxes[leaves]


def _marginal_variances(boxes: Values, weights: Values) -> Values:
    """Return the integral of the squared marginal prediction of each setting `(K,)`.

    The marginal is a sum of steps: each leaf adds its weight on its interval.

    Args:
        boxes: interval of each leaf and setting `(L, K, 2)`.
        weights: weight of each leaf and setting `(L, K)`.
    """
    edges = np.concatenate([boxes[:, :, 0], boxes[:, :, 1]])
    order = np.argsort(edges, axis=0)
    steps = np.take_along_axis(np.concatenate([weights, -weights]), order, axis=0)
    lengths = np.diff(np.take_along_axis(edges, order, axis=0), axis=0)
    variances: Values = (lengths * np.cumsum(steps, axis=0)[:-1] ** 2).sum(axis=0)
    return variances
