"""Splits and label subsets, by subject and by name: never by image, never by position in a list."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trainables.common.seeds import derive
from trainables.data.records import SPLITS, Split


def split_subjects(subjects: Sequence[str], fractions: tuple[float, float, float], seed: int) -> dict[str, Split]:
    """Put each subject in a part by fractions of their number.

    The order is drawn by name, so it does not depend on the order of `subjects`. Every part whose fraction is above
    zero gets at least one subject as long as there are enough.

    Args:
        subjects: identifiers; doubles count once.
        fractions: of train, val and test; they are scaled to sum to one.
        seed: names the draw.

    Raises:
        ValueError: a negative fraction, or none above zero.
    """
    weights = np.asarray(fractions, float)
    if (weights < 0).any() or weights.sum() <= 0:
        raise ValueError(f"split fractions {tuple(fractions)}: expected three numbers from 0 up, not all zero")
    ordered = sorted(set(subjects), key=lambda subject: (derive(seed, "split", subject), subject))
    counts = _shares(len(ordered), weights / weights.sum())
    parts = np.repeat(np.arange(3), counts)
    return {subject: SPLITS[part] for subject, part in zip(ordered, parts.tolist(), strict=True)}


def _shares(total: int, weights: np.ndarray) -> np.ndarray:
    """Whole numbers in proportion to `weights` (largest remainders), none zero where its weight is not, if possible."""
    exact: np.ndarray = weights * total
    counts: np.ndarray = np.floor(exact).astype(int)
    for part in np.argsort(counts - exact, kind="stable")[: total - counts.sum()]:
        counts[part] += 1
    for part in np.flatnonzero((counts == 0) & (weights > 0)):
        largest = int(np.argmax(counts))
        if counts[largest] > 1:
            counts[largest] -= 1
            counts[part] += 1
    return counts


def label_subset(
    subjects: np.ndarray, fraction: float | None = None, count: int | None = None, seed: int = 0
) -> np.ndarray:
    """The subjects whose labels a run may use.

    For one seed the subsets are nested: the 5% subset lies inside the 25% subset, and a subject's rank does not depend
    on who else is there.

    Args:
        subjects: integers `(n,)`, doubles count once.
        fraction: in (0, 1], of the subjects; rounded to the nearest whole subject and at least one.
        count: number of subjects, at least 1 (all of them when there are fewer). Exactly one of the two is given.
        seed: names the draw.

    Returns:
        The chosen subjects, sorted, int64.
    """
    if (fraction is None) == (count is None):
        raise ValueError("label subset: give either a fraction or a count")
    known = np.unique(np.asarray(subjects, np.int64))
    if fraction is not None:
        if not 0 < fraction <= 1:
            raise ValueError(f"label fraction {fraction}: expected a number in (0, 1]")
        count = max(1, int(np.floor(fraction * len(known) + 0.5)))
    if count is None or count < 1:
        raise ValueError(f"label count {count}: expected a whole number from 1 up")
    ranks = [derive(seed, "labels", int(subject)) for subject in known]
    return np.sort(known[np.argsort(ranks, kind="stable")[:count]])
