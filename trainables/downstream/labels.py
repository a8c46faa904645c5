"""Labelled subjects that a downstream run may use: for training, and to choose an epoch and a configuration."""

from __future__ import annotations

import numpy as np

from trainables.common.errors import UserError
from trainables.common.label_counts import LabelCounts
from trainables.common.seeds import derive
from trainables.data.records import Split
from trainables.data.sampling.splits import fraction_size, label_subset
from trainables.data.sampling.targets import targeted
from trainables.data.store.frames import FrameStore
from trainables.downstream.selection import labelled_rows
from trainables.downstream.settings import DownstreamSettings


def labelled_subjects(settings: DownstreamSettings, store: FrameStore, seed: int) -> np.ndarray:
    """Return the labelled training subjects chosen by `settings` and `seed`, as indices into `store.subjects`.

    Subsets of one seed are nested over label fractions.

    Raises:
        UserError: `settings.labels` exceeds the number of labelled training subjects.
    """
    candidates = labelled_candidates(settings, store, "train")
    problem = label_shortage(settings, len(candidates))
    if problem:
        raise UserError(problem)
    return chosen_subjects(settings, candidates, seed)


def chosen_subjects(settings: DownstreamSettings, candidates: np.ndarray, seed: int) -> np.ndarray:
    """Return the subjects among `candidates`, indices into a store's subjects, that `settings` and `seed` choose."""
    fraction = None if settings.labels is not None else settings.label_fraction
    return label_subset(candidates, fraction, settings.labels, derive(seed, "labels"))


def validation_subjects(settings: DownstreamSettings, store: FrameStore, seed: int) -> np.ndarray:
    """Return the labelled subjects of the validation split that `settings.validation` and `seed` choose.

    Subsets of one seed are nested over fractions and numbers, as those of the training subjects are.

    Returns:
        Indices into `store.subjects`; none where validation uses no subjects of their own.

    Raises:
        UserError: more subjects are asked for than there are.
    """
    if not settings.uses_validation_split:
        return np.empty(0, np.int64)
    candidates = labelled_candidates(settings, store, "val")
    problem = validation_shortage(settings, len(candidates))
    if problem:
        raise UserError(problem)
    fraction, count = settings.validation_share
    return label_subset(candidates, fraction, count, derive(seed, "validation"))


def count_labels(settings: DownstreamSettings, store: FrameStore) -> LabelCounts:
    """Return the number of labelled subjects that a run on this store uses; it is equal for all seeds.

    Raises:
        UserError: more subjects are asked for than there are.
    """
    labelled = targeted(store, "labelled" if settings.targets == "labelled" else "ed_es", None)
    candidates = labelled_candidates(settings, labelled, "train")
    problem = label_shortage(settings, len(candidates))
    if problem:
        raise UserError(problem)
    validation = validation_subjects(settings, labelled, 0)
    return LabelCounts(chosen_labels(settings, len(candidates), 0).training, len(validation))


def chosen_labels(settings: DownstreamSettings, train: int, val: int) -> LabelCounts:
    """Return how many of `train` and `val` labelled subjects a run uses, where there are enough.

    Of folds that are tested, it is the smallest number that one of them trains on.
    """
    training = settings.labels or fraction_size(trained_on(settings, train), settings.label_fraction)
    if not settings.uses_validation_split:
        return LabelCounts(training, 0)
    fraction, count = settings.validation_share
    return LabelCounts(training, count or fraction_size(val, fraction or 1.0))


def trained_on(settings: DownstreamSettings, train: int) -> int:
    """Return how many of `train` labelled training subjects one network may train on; a tested fold leaves some out."""
    return train - -(-train // settings.folds) if settings.test == "folds" and settings.folds else train


def label_shortage(settings: DownstreamSettings, train: int) -> str:
    """Return why `train` labelled training subjects are too few for a run, or ""."""
    most = trained_on(settings, train)
    if settings.labels is None or settings.labels <= most:
        return ""
    left = f", of which a fold trains on {most}" if most < train else ""
    return f"downstream.labels is {settings.labels}, the training split has {train} labelled subjects{left}"


def validation_shortage(settings: DownstreamSettings, val: int) -> str:
    """Return why `val` labelled validation subjects are too few for a run, or ""."""
    count = settings.validation_share[1] if settings.uses_validation_split else None
    if count is None or count <= val:
        return ""
    same = f" ({count} subjects)" if settings.validation == "same" else ""
    text = f"downstream.validation is {settings.validation}{same}, the validation split has {val} labelled subjects"
    return f"{text}. Fix: set downstream.validation to all, or to a number up to {val}"


def fold_shortage(settings: DownstreamSettings, pool: int) -> str:
    """Return why `pool` chosen training and validation subjects are too few for the folds of a run, or ""."""
    if settings.folds is None or settings.folds <= pool:
        return ""
    return f"downstream.folds is {settings.folds}, expected at most the {pool} labelled subjects there are"


def labelled_candidates(settings: DownstreamSettings, store: FrameStore, split: Split) -> np.ndarray:
    """Return the subjects of a split that have labels in the views of `settings`, as indices into `store.subjects`."""
    return np.unique(store.index["subject"][labelled_rows(store, split, settings.views)])
