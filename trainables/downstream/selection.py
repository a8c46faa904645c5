"""Selection of the frames for training, validation and test."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trainables.common.errors import DataError, UserError, did_you_mean
from trainables.data.records import Split
from trainables.data.sampling.sequences import half_cycles, sequences
from trainables.data.store.frames import FrameStore


def of_views(store: FrameStore, rows: np.ndarray, views: Sequence[str] | None) -> np.ndarray:
    """Return the rows whose frames show one of the views; None keeps all rows.

    Raises:
        UserError: the dataset has no such view.
    """
    if views is None:
        return rows
    for view in views:
        if view not in store.views:
            raise UserError(f"downstream.views: the dataset has no view '{view}'{did_you_mean(view, store.views)}")
    return np.asarray(rows[np.isin(store.index["view"][rows], [store.views.index(view) for view in views])])


def labelled_rows(
    store: FrameStore, split: Split, views: Sequence[str] | None, subjects: np.ndarray | None = None
) -> np.ndarray:
    """Return the labelled rows of a split.

    Raises:
        DataError: there are none.
    """
    rows = of_views(store, store.rows(split, labelled=True, subjects=subjects), views)
    if len(rows) == 0:
        raise DataError(f"the dataset has no labelled frame in its {split} split")
    return rows


def rows_of(store: FrameStore, subjects: np.ndarray, views: Sequence[str] | None) -> np.ndarray:
    """Return the labelled rows of subjects in the train and val splits."""
    both = [store.rows(split, labelled=True, subjects=subjects) for split in ("train", "val")]
    return of_views(store, np.sort(np.concatenate(both)), views)


def evaluation_rows(
    store: FrameStore, split: Split, views: Sequence[str] | None, subjects: np.ndarray | None = None, *, complete: bool
) -> np.ndarray:
    """Return the labelled rows of a split and, if `complete`, all rows between a sequence's labelled ends.

    Args:
        store: decoded frames.
        split: split of the rows.
        views: names of the views; None for all.
        subjects: subjects of the rows; None for all of the split.
        complete: True to add the rows between the labelled ones.
    """
    rows = labelled_rows(store, split, views, subjects)
    if not complete:
        return rows
    between = np.concatenate([rows, *(of_views(store, each, views) for each in half_cycles(store, split))])
    return np.unique(between if subjects is None else between[np.isin(store.index["subject"][between], subjects)])


def around(store: FrameStore, rows: np.ndarray) -> np.ndarray:
    """Return the rows and all rows between them in their sequences."""
    numbers = store.index["sequence"][rows]
    found = [np.arange(own.min(), own.max() + 1) for own in (rows[numbers == number] for number in np.unique(numbers))]
    return np.concatenate(found)


def dense_sequences(store: FrameStore, rows: np.ndarray) -> list[np.ndarray]:
    """Return labelled rows grouped by sequence, to train a temporal network.

    Raises:
        DataError: there is none, or a sequence has frames without a mask between labelled ones.
    """
    found = sequences(store, rows)
    if not found:
        raise DataError("the dataset has no labelled sequence, only images or volumes, expected moments of a cycle")
    sparse = sum(bool((np.diff(each) != 1).any()) for each in found)
    if sparse:
        raise DataError(
            f"{sparse} of {len(found)} training sequences have frames without a mask between labelled ones; "
            "a network over time needs a mask of every frame: expected downstream.targets: propagated"
        )
    return found
