"""Data of a downstream run: stores, folds and evaluation rows, resolved from the settings."""

import dataclasses
from unittest.mock import create_autospec

import numpy as np
import pytest
from toys import sequence_store

from trainables.common.errors import DataError, UserError
from trainables.data.records import SPLITS
from trainables.data.sampling.targets import DenseLabels
from trainables.downstream import data as data_module
from trainables.downstream.data import DownstreamData, resolve_data, without_images
from trainables.downstream.settings import DownstreamSettings

FRAMES = 3
STORE = sequence_store(["ED", "", "ES"] * 12, FRAMES, split=np.repeat(np.arange(12) % 3, FRAMES))
"""Twelve subjects, a sequence each, four in every split; the ends of each sequence have masks."""


TESTED = DownstreamSettings(folds=2, test="folds", validation="none")


def subjects_of(split: str) -> list[int]:
    return list(range(SPLITS.index(split), 12, 3))  # type: ignore[arg-type]


def rows_of_split(split: str, frames: tuple[int, ...]) -> list[int]:
    return [FRAMES * subject + frame for subject in subjects_of(split) for frame in frames]


def resolved(dense: DenseLabels | None = None, seed: int = 0, store=STORE, **settings: object) -> DownstreamData:
    wanted = DownstreamSettings(**settings)  # type: ignore[arg-type]
    return resolve_data(wanted, store, dense, seed, temporal=False, test=True, sequences=True)


def test_without_folds_the_splits_of_the_dataset_are_used():
    data = resolved()
    (fold,) = data.folds
    assert fold.train.tolist() == subjects_of("train")
    assert fold.val.tolist() == subjects_of("val")
    assert data.labels.training == 4
    assert data.train_store is data.eval_store is STORE


def test_folds_cover_the_train_and_val_subjects_and_never_a_test_subject():
    data = resolved(folds=4)
    pool = sorted([*subjects_of("train"), *subjects_of("val")])
    assert len(data.folds) == 4
    assert sorted(np.concatenate([fold.val for fold in data.folds])) == pool
    for fold in data.folds:
        assert sorted([*fold.train, *fold.val]) == pool
    again = resolved(folds=4)
    assert [fold.val.tolist() for fold in again.folds] == [fold.val.tolist() for fold in data.folds]
    assert [fold.val.tolist() for fold in resolved(folds=4, seed=1).folds] != [f.val.tolist() for f in data.folds]


def test_tested_folds_cover_the_training_split_and_train_on_none_of_their_own():
    data = resolve_data(TESTED, STORE, None, 0, temporal=False, test=True, sequences=False)
    assert sorted(np.concatenate([fold.test for fold in data.folds])) == subjects_of("train")
    for fold in data.folds:
        assert sorted([*fold.train, *fold.test]) == subjects_of("train")
        assert len(fold.val) == 0
        assert data.rows_of(fold, data.test_rows).tolist() == [
            FRAMES * s + frame for s in fold.test for frame in (0, 2)
        ]
    assert data.test_rows.tolist() == rows_of_split("train", (0, 2))
    assert (data.labels.training, data.labels.validation) == (2, 0)


def test_fewer_labels_of_tested_folds_are_nested_and_tested_on_everyone():
    few = dataclasses.replace(TESTED, labels=1)
    data, whole = (
        resolve_data(each, STORE, None, 0, temporal=False, test=True, sequences=False) for each in (few, TESTED)
    )
    for fold, all_labels in zip(data.folds, whole.folds, strict=True):
        assert fold.test.tolist() == all_labels.test.tolist()
        assert len(fold.train) == 1
        assert set(fold.train) <= set(all_labels.train)
    assert data.labels.training == 1
    problem = r"downstream\.labels is 3, the training split has 4 labelled subjects, of which a fold trains on 2"
    with pytest.raises(UserError, match=problem):
        resolved(folds=2, test="folds", validation="none", labels=3)
    with pytest.raises(UserError, match=r"downstream\.folds is 5, expected at most the 4 labelled subjects"):
        resolve_data(dataclasses.replace(TESTED, folds=5), STORE, None, 0, temporal=False, test=True, sequences=False)


def test_folds_are_split_once_and_of_the_chosen_subjects_only(monkeypatch):
    split = create_autospec(data_module.split_folds, side_effect=data_module.split_folds)
    monkeypatch.setattr(data_module, "split_folds", split)
    data = resolved(folds=2, labels=1)
    split.assert_called_once()
    assert data.labels.training == 1
    assert len(data.folds[0].train) + len(data.folds[0].val) == 1 + 4


def test_more_folds_than_labelled_subjects_are_refused():
    with pytest.raises(UserError, match=r"downstream\.folds is 9, expected at most the 8 labelled subjects"):
        resolved(folds=9)


def test_a_dataset_without_labels_in_val_is_refused():
    index = np.array(STORE.index)
    index["mask"][index["split"] == SPLITS.index("val")] = -1
    with pytest.raises(DataError, match="no labelled frame in its val split"):
        resolved(store=dataclasses.replace(STORE, index=index))


def test_evaluation_rows_are_selected_only_where_requested():
    data = resolve_data(DownstreamSettings(), STORE, None, 0, temporal=False, test=False, sequences=False)
    assert data.test_rows is None
    assert data.sequence_rows is None


def test_frames_are_tested_alone_and_sequences_whole():
    frames = resolved()
    assert frames.test_rows is not None
    assert frames.sequence_rows is not None
    assert frames.test_rows.tolist() == rows_of_split("test", (0, 2))
    assert frames.sequence_rows.tolist() == rows_of_split("val", (0, 1, 2))
    temporal = resolve_data(DownstreamSettings(), STORE, None, 0, temporal=True, test=True, sequences=False)
    assert temporal.test_rows is not None
    assert temporal.test_rows.tolist() == rows_of_split("test", (0, 1, 2))


def test_pseudo_labels_are_training_targets_and_never_references():
    between = np.array(rows_of_split("train", (1,)))
    data = resolved(DenseLabels(between, np.ones((len(between), 8, 8), np.uint8)), targets="propagated")
    assert (data.train_store.index["mask"][between] >= 0).all()
    assert (data.eval_store.index["mask"][between] < 0).all()
    assert data.test_rows is not None
    assert data.test_rows.tolist() == rows_of_split("test", (0, 1, 2))


def test_a_store_without_images_keeps_index_and_masks():
    bare = without_images(STORE)
    assert bare.images.shape == (len(STORE.index), 0)
    assert bare.index is STORE.index
    assert bare.masks is STORE.masks
