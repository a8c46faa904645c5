"""Sequences of a frame store: the rows of one acquisition, frames in order of time."""

from __future__ import annotations

import numpy as np

from trainables.data.records import PHASES, Split
from trainables.data.store.frames import FrameStore


def sequences(store: FrameStore, rows: np.ndarray) -> list[np.ndarray]:
    """The given rows by sequence, frames in order; slices of a volume are no moments of one.

    Args:
        store: the frames.
        rows: int64, ascending.
    """
    rows = rows[store.index["stack"][rows] == 0]
    rows = rows[np.argsort(store.index["sequence"][rows], kind="stable")]
    _, first = np.unique(store.index["sequence"][rows], return_index=True)
    return np.split(rows, first[1:]) if len(rows) else []


def ends(store: FrameStore, rows: np.ndarray) -> tuple[int, int] | None:
    """The rows of a sequence's labelled end-diastole and end-systole; None where it has not both."""
    index = store.index[rows]
    found = [rows[(index["phase"] == PHASES.index(phase)) & (index["mask"] >= 0)] for phase in ("ED", "ES")]
    return (int(found[0][0]), int(found[1][0])) if all(map(len, found)) else None


def half_cycles(store: FrameStore, split: Split, subjects: np.ndarray | None = None) -> list[np.ndarray]:
    """The rows from one labelled end of each sequence to the other, both included, in order of time.

    Args:
        store: the frames.
        split: whose sequences; those without masks of both ends are left out.
        subjects: only sequences of these; None for all.
    """
    found = []
    for rows in sequences(store, store.rows(split, subjects=subjects)):
        both = ends(store, rows)
        if both is not None:
            found.append(rows[(rows >= min(both)) & (rows <= max(both))])
    return found
