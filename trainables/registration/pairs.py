"""Pairs (fixed, moving) of frames of one sequence, as row indices of the frame store."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from trainables.common.seeds import numpy_generator
from trainables.data.records import Split
from trainables.data.sampling.sequences import ends, sequences
from trainables.data.store.frames import FrameStore


def all_pairs(store: FrameStore, split: Split) -> np.ndarray:
    """Return all ordered pairs of distinct frames of each sequence, int64 `(P, 2)`."""
    found = [np.zeros((0, 2), np.int64)]
    for rows in sequences(store, store.rows(split)):
        fixed, moving = np.meshgrid(rows, rows, indexing="ij")
        found.append(np.stack([fixed, moving], -1)[fixed != moving])
    return np.concatenate(found)


def one_pair_per_sequence(store: FrameStore, split: Split, seed: int) -> Callable[[int], np.ndarray]:
    """Return a function that draws one random ordered pair per sequence and epoch.

    All pairs are drawn over the epochs, and long sequences are sampled no more often than short ones.

    Args:
        store: frame store to sample from.
        split: split whose sequences are sampled; sequences of a single frame are skipped.
        seed: random seed, which determines the pairs together with the epoch.

    Returns:
        A function from the epoch to its pairs, int64 `(sequences, 2)`.
    """
    longer = [rows for rows in sequences(store, store.rows(split)) if len(rows) > 1]
    count = np.array([len(rows) for rows in longer], np.int64)
    start = np.concatenate([[0], np.cumsum(count)[:-1]]).astype(np.int64)
    rows = np.concatenate([np.zeros(0, np.int64), *longer])

    def choose(epoch: int) -> np.ndarray:
        shares = numpy_generator(seed, "one_pair_per_sequence", epoch).random((2, len(count)))
        fixed = (shares[0] * count).astype(np.int64)
        moving = (fixed + 1 + (shares[1] * (count - 1)).astype(np.int64)) % np.maximum(count, 1)
        return np.asarray(rows[np.stack([start + fixed, start + moving], -1)])

    return choose


def labelled_ends(store: FrameStore, split: Split) -> np.ndarray:
    """Return the rows (end-systole, end-diastole) of each sequence with masks of both, int64 `(P, 2)`."""
    found = [ends(store, rows) for rows in sequences(store, store.rows(split))]
    return np.array([both[::-1] for both in found if both is not None], np.int64).reshape(-1, 2)
