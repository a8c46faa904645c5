"""Splits and label subsets by subject, never by image, independent of the order of a list."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trainables.common.seeds import derive
from trainables.data.records import SPLITS, Split


def split_subjects(subjects: Sequence[str], fractions: tuple[float, float, float], seed: int) -> dict[str, Split]:
    """Split subjects into train, val and test by fractions of their number.

    The random order depends on the subjects' names, not on the order of `subjects`. Every split whose fraction is above
    zero gets at least one subject as long as there are enough.

    Example:
        >>> parts = split_subjects([f"p{number}" for number in range(10)], (0.8, 0.1, 0.1), seed=0)
        >>> sorted(parts.values())
        ['test', 'train', 'train', 'train', 'train', 'train', 'train', 'train', 'train', 'val']

    Args:
        subjects: identifiers; duplicates count once.
        fractions: shares of train, val and test, from 0 up; they are scaled to sum to one.
        seed: seed of the random order.

    Raises:
        ValueError: a negative fraction, or none above zero.
    """
    ordered = sorted(set(subjects), key=lambda subject: (derive(seed, "split", subject), subject))
    parts = np.repeat(np.arange(3), split_counts(len(ordered), fractions))
    return {subject: SPLITS[part] for subject, part in zip(ordered, parts.tolist(), strict=True)}


def split_counts(total: int, fractions: tuple[float, float, float]) -> list[int]:
    """Apportion subjects to train, val and test by largest remainders; a positive share gets at least 1 if possible.

    Args:
        total: number of subjects.
        fractions: shares of train, val and test, from 0 up; they are scaled to sum to one.

    Raises:
        ValueError: a negative fraction, or none above zero.
    """
    weights = np.asarray(fractions, float)
    if (weights < 0).any() or weights.sum() <= 0:
        raise ValueError(f"split fractions {tuple(fractions)}: expected three numbers from 0 up, not all zero")
    weights /= weights.sum()
    exact: np.ndarray = weights * total
    counts: np.ndarray = np.floor(exact).astype(int)
    for part in np.argsort(counts - exact, kind="stable")[: total - counts.sum()]:
        counts[part] += 1
    for part in np.flatnonzero((counts == 0) & (weights > 0)):
        largest = int(np.argmax(counts))
        if counts[largest] > 1:
            counts[largest] -= 1
            counts[part] += 1
    return [int(count) for count in counts]


def fraction_size(total: int, fraction: float) -> int:
    """Return a fraction of `total` subjects, rounded to the nearest whole number and at least one."""
    return max(1, int(np.floor(fraction * total + 0.5)))


def label_subset(
    subjects: np.ndarray, fraction: float | None = None, count: int | None = None, seed: int = 0
) -> np.ndarray:
    """Draw the subjects whose labels a run may use.

    For one seed the subsets are nested: the 5% subset lies inside the 25% subset, and a subject's rank does not depend
    on the other subjects.

    Example:
        >>> small, large = (label_subset(np.arange(20), fraction=share) for share in (0.05, 0.25))
        >>> len(small), len(large), set(small) <= set(large)
        (1, 5, True)

    Args:
        subjects: integers `(n,)`; duplicates count once.
        fraction: share of the subjects in (0, 1], rounded to the nearest whole subject and at least one.
        count: number of subjects, from 1 up (all of them when there are fewer). Pass exactly one of the two.
        seed: seed of the random ranks.

    Returns:
        The chosen subjects, sorted, int64.
    """
    if (fraction is None) == (count is None):
        raise ValueError("label subset: expected exactly one of fraction and count")
    known = np.unique(np.asarray(subjects, np.int64))
    if fraction is not None:
        if not 0 < fraction <= 1:
            raise ValueError(f"label fraction {fraction}: expected a number in (0, 1]")
        count = fraction_size(len(known), fraction)
    if count is None or count < 1:
        raise ValueError(f"label count {count}: expected a whole number from 1 up")
    ranks = [derive(seed, "labels", int(subject)) for subject in known]
    return np.sort(known[np.argsort(ranks, kind="stable")[:count]])
