"""Pairs of frames of the same sequence, as rows of the frame store: (fixed, moving)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from trainables.data.frames import FrameStore
from trainables.data.records import PHASES, Split
from trainables.seeds import numpy_generator


def every_pair(store: FrameStore, split: Split) -> np.ndarray:
    """All ordered pairs of two frames of a sequence, int64 `(P, 2)`."""
    found = [np.zeros((0, 2), np.int64)]
    for rows in _sequences(store, split):
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
    sequences = [rows for rows in _sequences(store, split) if len(rows) > 1]
    count = np.array([len(rows) for rows in sequences], np.int64)
    start = np.concatenate([[0], np.cumsum(count)[:-1]]).astype(np.int64)
    rows = np.concatenate([np.zeros(0, np.int64), *sequences])

    def choose(epoch: int) -> np.ndarray:
        shares = numpy_generator(seed, "one_pair_per_sequence", epoch).random((2, len(count)))
        fixed = (shares[0] * count).astype(np.int64)
        moving = (fixed + 1 + (shares[1] * (count - 1)).astype(np.int64)) % np.maximum(count, 1)
        return np.asarray(rows[np.stack([start + fixed, start + moving], -1)])

    return choose


def labelled_ends(store: FrameStore, split: Split) -> np.ndarray:
    """(end-systole, end-diastole) of each sequence that has masks of both, int64 `(P, 2)`."""
    found = []
    for rows in _sequences(store, split):
        index = store.index[rows]
        ends = [rows[(index["phase"] == PHASES.index(phase)) & (index["mask"] >= 0)] for phase in ("ES", "ED")]
        if all(map(len, ends)):
            found.append([end[0] for end in ends])
    return np.array(found, np.int64).reshape(-1, 2)


def _sequences(store: FrameStore, split: Split) -> list[np.ndarray]:
    """The rows of each sequence, frames in order; slices of a volume are no moments of one."""
    rows = store.rows(split)
    rows = rows[store.index["stack"][rows] == 0]
    rows = rows[np.argsort(store.index["sequence"][rows], kind="stable")]
    _, first = np.unique(store.index["sequence"][rows], return_index=True)
    return np.split(rows, first[1:]) if len(rows) else []
