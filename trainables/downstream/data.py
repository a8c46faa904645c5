"""Labelled data of a downstream run: stores, cross-validation folds and evaluation rows."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from trainables.common.errors import UserError
from trainables.common.label_counts import LabelCounts
from trainables.common.seeds import derive
from trainables.data.records import Split
from trainables.data.sampling.targets import DenseLabels, targeted
from trainables.data.store.frames import FrameStore
from trainables.downstream.folds import split_folds
from trainables.downstream.labels import (
    chosen_subjects,
    count_labels,
    fold_shortage,
    label_shortage,
    labelled_candidates,
    labelled_subjects,
    validation_subjects,
)
from trainables.downstream.selection import evaluation_rows
from trainables.downstream.settings import DownstreamSettings


@dataclass(frozen=True, eq=False)
class Fold:
    """Subjects of one training, as indices into the store's subjects.

    Attributes:
        train: int64 `(N,)`, sorted labelled subjects to train on.
        val: int64 `(M,)`, sorted labelled subjects that select the best epoch; none for a fixed last epoch.
        test: int64 `(T,)`, sorted subjects that this training's network alone is tested on; none where all networks
            together are tested on the test split.
    """

    train: np.ndarray
    val: np.ndarray
    test: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))


@dataclass(frozen=True, eq=False)
class DownstreamData:
    """Frame stores, folds and rows of a downstream run, resolved once from the settings.

    Attributes:
        train_store: frame store whose masks are the training targets, pseudo-labels included.
        eval_store: frame store whose masks are the reference in validation and test.
        folds: one fold, or one per cross-validation training.
        labels: numbers of labelled subjects chosen from the train and val splits.
        test_rows: int64 rows of `eval_store` to segment for the test results; None without a test.
        sequence_rows: int64 rows of the chosen validation subjects' complete sequences; None if they are not segmented.
    """

    train_store: FrameStore
    eval_store: FrameStore
    folds: list[Fold]
    labels: LabelCounts
    test_rows: np.ndarray | None = None
    sequence_rows: np.ndarray | None = None

    def rows_of(self, fold: Fold, rows: np.ndarray) -> np.ndarray:
        """Return those of some rows that show the subjects that a fold's network alone is tested on."""
        return np.asarray(rows[np.isin(self.eval_store.index["subject"][rows], fold.test)])


def resolve_data(
    settings: DownstreamSettings,
    store: FrameStore,
    dense: DenseLabels | None,
    seed: int,
    *,
    temporal: bool,
    test: bool,
    sequences: bool,
) -> DownstreamData:
    """Resolve the stores, folds and evaluation rows of a downstream run.

    Args:
        settings: settings of the downstream stage.
        store: all decoded frames of the dataset.
        dense: pseudo-labels, required with `targets: propagated`.
        seed: seed of the labelled subsets and of the folds.
        temporal: True if the network segments complete sequences.
        test: True to select rows of the test split; otherwise the test split is not read.
        sequences: True to select the complete sequences of the chosen validation subjects.

    Raises:
        UserError: more subjects or folds are requested than there are labelled subjects.
    """
    eval_store = targeted(store, "labelled" if settings.targets == "labelled" else "ed_es", None)
    train_store = targeted(store, settings.targets, dense)
    folds = (
        _tested_folds(settings, eval_store, seed) if settings.test == "folds" else _folds(settings, eval_store, seed)
    )
    counts = count_labels(settings, eval_store)
    complete = settings.targets != "labelled" or temporal
    tested: Split = "train" if settings.test == "folds" else "test"
    test_rows = evaluation_rows(eval_store, tested, settings.views, complete=complete) if test else None
    val = validation_subjects(settings, eval_store, seed) if sequences else None
    sequence_rows = evaluation_rows(eval_store, "val", settings.views, val, complete=True) if sequences else None
    return DownstreamData(train_store, eval_store, folds, counts, test_rows, sequence_rows)


def without_images(store: FrameStore) -> FrameStore:
    """Return the store with empty images, for batches whose task reads the images by sequence.

    Reading a batch of it costs no disk access; masks and index are those of `store`.
    """
    return replace(store, images=np.empty((len(store.index), 0), np.uint8))


def _folds(settings: DownstreamSettings, store: FrameStore, seed: int) -> list[Fold]:
    """Return one fold of the chosen training and validation subjects, or split them together into folds."""
    train, val = labelled_subjects(settings, store, seed), validation_subjects(settings, store, seed)
    if settings.folds is None:
        return [Fold(train, val)]
    return [Fold(*parts) for parts in _parts(settings, np.union1d(train, val), seed)]


def _tested_folds(settings: DownstreamSettings, store: FrameStore, seed: int) -> list[Fold]:
    """Split all labelled training subjects into folds that are tested, and choose those that each trains on."""
    every, none = labelled_candidates(settings, store, "train"), np.empty(0, np.int64)
    problem = label_shortage(settings, len(every))
    if problem:
        raise UserError(problem)
    return [Fold(chosen_subjects(settings, rest, seed), none, part) for rest, part in _parts(settings, every, seed)]


def _parts(settings: DownstreamSettings, subjects: np.ndarray, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    problem = fold_shortage(settings, len(subjects))
    if problem:
        raise UserError(problem)
    return split_folds(subjects, settings.folds or 1, derive(seed, "folds"))
