"""Pairs of frames of the same sequence, as rows of the frame store: (fixed, moving)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from trainables.common.seeds import numpy_generator
from trainables.data.records import Split
from trainables.data.sampling.sequences import ends, sequences
from trainables.data.store.frames import FrameStore


def every_pair(store: FrameStore, split: Split) -> np.ndarray:
    """All ordered pairs of two frames of a sequence, int64 `(P, 2)`."""
    found = [np.zeros((0, 2), np.int64)]
    for rows in sequences(store, store.rows(split)):
        fixed, moving = np.meshgrid(rows, rows, indexing="ij")
        found.append(np.stack([fixed, moving], -1)[fixed != moving])
    return np.concatenate(found)


def one_pair_per_sequence(store: FrameStore, split: Split, seed: int) -> Callable[[int], np.ndarray]:
    """A chooser of one random ordered pair of every sequence for every epoch.

    Over the epochs all pairs come to be seen, and long sequences no more often than short ones.

    Args:
        store: the frames.
        split: whose sequences; those of one frame are left out.
        seed: names the draw, together with the epoch.

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
    """(end-systole, end-diastole) of each sequence that has masks of both, int64 `(P, 2)`."""
    found = [ends(store, rows) for rows in sequences(store, store.rows(split))]
    return np.array([both[::-1] for both in found if both is not None], np.int64).reshape(-1, 2)
