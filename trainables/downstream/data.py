"""Labelled data of a downstream run: stores, cross-validation folds and evaluation rows."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from trainables.common.errors import UserError
from trainables.common.seeds import derive
from trainables.data.sampling.splits import label_subset
from trainables.data.sampling.targets import DenseLabels, targeted
from trainables.data.store.frames import FrameStore
from trainables.downstream.folds import split_folds
from trainables.downstream.selection import evaluation_rows, labelled_rows
from trainables.downstream.settings import DownstreamSettings


@dataclass(frozen=True, eq=False)
class Fold:
    """Subjects of one training, as indices into the store's subjects.

    Attributes:
        train: int64 `(N,)`, sorted labelled subjects to train on.
        val: int64 `(M,)`, sorted labelled subjects that select the best epoch.
    """

    train: np.ndarray
    val: np.ndarray


@dataclass(frozen=True, eq=False)
class DownstreamData:
    """Frame stores, folds and rows of a downstream run, resolved once from the settings.

    Attributes:
        train_store: frame store whose masks are the training targets, pseudo-labels included.
        eval_store: frame store whose masks are the reference in validation and test.
        folds: one fold, or one per cross-validation training.
        subjects: number of labelled training subjects chosen from the train split.
        test_rows: int64 rows of `eval_store` to segment for the test results; None without a test.
        sequence_rows: int64 rows of the validation split's complete sequences; None if they are not segmented.
    """

    train_store: FrameStore
    eval_store: FrameStore
    folds: list[Fold]
    subjects: int
    test_rows: np.ndarray | None = None
    sequence_rows: np.ndarray | None = None


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
        seed: seed of the labelled subset and of the folds.
        temporal: True if the network segments complete sequences.
        test: True to select rows of the test split; otherwise the test split is not read.
        sequences: True to select the validation split's complete sequences.

    Raises:
        UserError: more subjects or folds are requested than there are labelled subjects.
    """
    eval_store = targeted(store, "labelled" if settings.targets == "labelled" else "ed_es", None)
    train_store = targeted(store, settings.targets, dense)
    subjects = labelled_subjects(settings, eval_store, seed)
    folds = _folds(settings, eval_store, subjects, seed)
    complete = settings.targets != "labelled" or temporal
    test_rows = evaluation_rows(eval_store, "test", settings.views, complete=complete) if test else None
    sequence_rows = evaluation_rows(eval_store, "val", settings.views, complete=True) if sequences else None
    return DownstreamData(train_store, eval_store, folds, len(subjects), test_rows, sequence_rows)


def labelled_subjects(settings: DownstreamSettings, store: FrameStore, seed: int) -> np.ndarray:
    """Return the labelled training subjects chosen by `settings` and `seed`, as indices into `store.subjects`.

    Subsets of one seed are nested over label fractions.

    Raises:
        UserError: `settings.labels` exceeds the number of labelled training subjects.
    """
    candidates = np.unique(store.index["subject"][labelled_rows(store, "train", settings.views)])
    problem = label_shortage(settings, len(candidates))
    if problem:
        raise UserError(problem)
    fraction = None if settings.labels is not None else settings.label_fraction
    return label_subset(candidates, fraction, settings.labels, derive(seed, "labels"))


def label_shortage(settings: DownstreamSettings, train: int) -> str:
    """Return why `train` labelled training subjects are too few for a run, or ""."""
    if settings.labels is None or settings.labels <= train:
        return ""
    return f"downstream.labels is {settings.labels}, the training split has {train} labelled subjects"


def fold_shortage(settings: DownstreamSettings, pool: int) -> str:
    """Return why `pool` chosen training and validation subjects are too few for the folds of a run, or ""."""
    if settings.folds is None or settings.folds <= pool:
        return ""
    return f"downstream.folds is {settings.folds}, expected at most the {pool} labelled subjects there are"


def without_images(store: FrameStore) -> FrameStore:
    """Return the store with empty images, for batches whose task reads the images by sequence.

    Reading a batch of it costs no disk access; masks and index are those of `store`.
    """
    return replace(store, images=np.empty((len(store.index), 0), np.uint8))


def _folds(settings: DownstreamSettings, store: FrameStore, subjects: np.ndarray, seed: int) -> list[Fold]:
    """Return one fold of the given splits, or split the train and val subjects together into folds."""
    val = np.unique(store.index["subject"][labelled_rows(store, "val", settings.views)])
    if settings.folds is None:
        return [Fold(subjects, val)]
    pool = np.union1d(subjects, val)
    problem = fold_shortage(settings, len(pool))
    if problem:
        raise UserError(problem)
    return [Fold(*parts) for parts in split_folds(pool, settings.folds, derive(seed, "folds"))]
