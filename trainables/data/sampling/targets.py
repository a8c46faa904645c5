"""Masks that a network is trained on: all, those of end-diastole and end-systole, or these and pseudo-labels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from trainables.common.errors import DataError
from trainables.data.records import PHASES, SPLITS
from trainables.data.store.frames import FrameStore

Targets = Literal["labelled", "ed_es", "propagated"]


@dataclass(frozen=True, eq=False)
class DenseLabels:
    """Pseudo-labels of frames between end-diastole and end-systole.

    Attributes:
        rows: rows of the frame store, int64 `(N,)`, without duplicates.
        masks: class indices, uint8 `(N, S, S)`; may be mapped from a file.
    """

    rows: np.ndarray
    masks: np.ndarray


def targeted(store: FrameStore, targets: Targets, dense: DenseLabels | None) -> FrameStore:
    """Return the store with the masks that a network is trained on.

    Args:
        store: the frame store.
        targets: "labelled" leaves it as it is; "ed_es" keeps the masks of end-diastole and end-systole alone, in every
            split; "propagated" gives the frames between them, but for the test split's, the
            pseudo-labels as well.
        dense: pseudo-labels, required by "propagated"; None otherwise.
    """
    if targets == "labelled":
        return store
    index = np.array(store.index)
    between = (index["stack"] == 0) & (index["phase"] == PHASES.index(""))
    index["mask"][between] = -1
    if targets == "ed_es":
        return replace(store, index=index)
    assert dense is not None
    known = index["split"][dense.rows] != SPLITS.index("test")
    added = np.flatnonzero(known & (index["mask"][dense.rows] < 0))
    if len(added) == 0:
        raise DataError(
            "the pseudo-labels have no frame between the labelled ones. Fix: keep more frames (data.stride)"
        )
    index["mask"][dense.rows[added]] = len(store.masks) + added
    return replace(store, index=index, masks=_After(store.masks, dense.masks))  # type: ignore[arg-type]


class _After:
    """Concatenation of two arrays of masks without a copy."""

    def __init__(self, first: np.ndarray, second: np.ndarray) -> None:
        self._first, self._second = first, second

    def __len__(self) -> int:
        return len(self._first) + len(self._second)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape `(N, S, S)` of all masks."""
        return (len(self), *self._first.shape[1:])

    def __getitem__(self, wanted: Any) -> np.ndarray:
        """Return the masks with these indices, an integer or an array of integers."""
        numbers = np.asarray(wanted)
        found = np.empty((*numbers.shape, *self._first.shape[1:]), self._first.dtype)
        later = numbers >= len(self._first)
        found[~later] = self._first[numbers[~later]]
        found[later] = self._second[numbers[later] - len(self._first)]
        return found
