"""Excerpt of a frame store: all training frames, and few subjects to evaluate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from trainables.data.records import SPLITS, Split
from trainables.data.store.frames import FrameStore

LEFT_OUT = -1
"""Split of the subjects that an excerpt leaves out."""


@dataclass(frozen=True)
class Part:
    """Size of a split in an excerpt.

    Attributes:
        subjects: least number of subjects.
        rows: least number of rows that a job evaluates; subjects are added until there are so many.
    """

    subjects: int
    rows: int


PARTS: Mapping[Split, Part] = {"train": Part(8, 32), "val": Part(2, 16), "test": Part(2, 1)}
"""Sizes of the splits; 16 validation images are enough for a verdict on a pretraining."""


def excerpt(store: FrameStore, rows: Mapping[Split, np.ndarray]) -> FrameStore:
    """Return a store in which a split has the first subjects of the given rows only.

    Rows keep their numbers, so that pseudo-labels and predictions refer to the same frames.

    Args:
        store: frame store of a dataset.
        rows: rows to choose from, by split; a split that is missing or has none is kept whole.
    """
    index = np.array(store.index)
    for split, candidates in rows.items():
        if len(candidates):
            left_out = ~np.isin(index["subject"], _first_subjects(store, candidates, PARTS[split]))
            index["split"][left_out & (index["split"] == SPLITS.index(split))] = LEFT_OUT
    return replace(store, index=index)


def _first_subjects(store: FrameStore, rows: np.ndarray, part: Part) -> np.ndarray:
    """Return as many subjects of the rows, in their order, as a part of an excerpt needs."""
    subjects, counts = np.unique(store.index["subject"][rows], return_counts=True)
    enough = 1 + int(np.searchsorted(np.cumsum(counts), part.rows))
    return np.asarray(subjects[: max(part.subjects, enough)])
