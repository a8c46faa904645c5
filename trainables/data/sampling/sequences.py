"""Sequences of a frame store: the rows of one acquisition, frames in temporal order."""

from __future__ import annotations

import numpy as np

from trainables.data.records import PHASES, Split
from trainables.data.store.frames import FrameStore


def sequences(store: FrameStore, rows: np.ndarray) -> list[np.ndarray]:
    """Group rows by sequence, frames in temporal order; slices of volumes are dropped.

    Args:
        store: the frame store.
        rows: rows of the store, int64, ascending.
    """
    rows = rows[store.index["stack"][rows] == 0]
    rows = rows[np.argsort(store.index["sequence"][rows], kind="stable")]
    _, first = np.unique(store.index["sequence"][rows], return_index=True)
    return np.split(rows, first[1:]) if len(rows) else []


def ends(store: FrameStore, rows: np.ndarray) -> tuple[int, int] | None:
    """Return the rows of a sequence's labelled end-diastole and end-systole, or None where one is missing."""
    index = store.index[rows]
    found = [rows[(index["phase"] == PHASES.index(phase)) & (index["mask"] >= 0)] for phase in ("ED", "ES")]
    return (int(found[0][0]), int(found[1][0])) if all(map(len, found)) else None


def half_cycles(store: FrameStore, split: Split, subjects: np.ndarray | None = None) -> list[np.ndarray]:
    """Return each sequence's rows between labelled end-diastole and end-systole, both included, in temporal order.

    Args:
        store: the frame store.
        split: split of the sequences; a sequence without masks of both phases is omitted.
        subjects: indices of the subjects to use; None for all.
    """
    found = []
    for rows in sequences(store, store.rows(split, subjects=subjects)):
        both = ends(store, rows)
        if both is not None:
            found.append(rows[(rows >= min(both)) & (rows <= max(both))])
    return found
