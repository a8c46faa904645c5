"""Labelled subjects for training and validation: their choice, their numbers, and what reads them."""

from dataclasses import replace

import numpy as np
import pytest
from toys import toy_store

from trainables.augment.policy import Policy
from trainables.common.errors import UserError
from trainables.common.label_counts import LabelCounts
from trainables.data.records import SPLITS
from trainables.data.store.frames import FrameStore
from trainables.downstream.data import resolve_data
from trainables.downstream.finetune import finetune
from trainables.downstream.labels import chosen_labels, count_labels, labelled_subjects, validation_subjects
from trainables.downstream.segmentation_trainer import FinetuneResult
from trainables.downstream.settings import DownstreamSettings
from trainables.engine.optim.schedules import Plateau
from trainables.engine.runtime import LocalRuntime
from trainables.engine.settings import FitSettings
from trainables.networks import UNet, UNetEncoder

STORE = toy_store(60, size=16)
NETWORK = UNet(backbone=UNetEncoder(width=4, depth=2))
TRAIN, VAL = (set(STORE.split_subjects(split, labelled=True).tolist()) for split in ("train", "val"))
FIT = FitSettings(epochs=3, batch_size=8, precision="float32")


def settings(**changed: object) -> DownstreamSettings:
    return DownstreamSettings(**{"fit": FIT, "augment": Policy(strength=0)} | changed)  # type: ignore[arg-type]


def chosen(seed: int = 4, **changed: object) -> set[int]:
    return set(validation_subjects(settings(**changed), STORE, seed).tolist())


def train(store: FrameStore = STORE, **changed: object) -> FinetuneResult:
    return finetune(settings(**changed), NETWORK, None, store, LocalRuntime(), seed=0, test=True)


def blank_validation(keep: set[int]) -> FrameStore:
    """The store with empty masks for all validation subjects but some."""
    masks = np.array(STORE.masks)
    index = STORE.index
    rows = (index["split"] == SPLITS.index("val")) & ~np.isin(index["subject"], list(keep)) & (index["mask"] >= 0)
    masks[index["mask"][rows]] = 0
    return replace(STORE, masks=masks)


def test_by_default_all_validation_subjects_choose():
    assert chosen() == chosen(validation="all") == VAL


def test_the_rule_of_the_training_labels_applies_to_validation():
    share = len(VAL) // 2 / len(VAL)
    assert len(chosen(validation="same", label_fraction=share)) == len(VAL) // 2
    assert len(chosen(validation="same", label_fraction=0.001)) == 1
    assert len(chosen(validation="same", labels=3)) == 3


def test_validation_subsets_are_nested_and_differ_between_seeds():
    one, three = chosen(validation=1), chosen(validation=3)
    assert one < three < VAL
    assert len({frozenset(chosen(seed, validation=2)) for seed in range(8)}) > 1


def test_other_validation_subjects_change_nothing():
    few = validation_subjects(settings(validation=2), STORE, 0)
    plain, blanked = (train(store, validation=2) for store in (STORE, blank_validation(set(few.tolist()))))
    assert plain.fitted.history[-1]["val/dice"] == blanked.fitted.history[-1]["val/dice"]
    assert plain.fitted.epoch == blanked.fitted.epoch
    assert plain.labels == LabelCounts(len(TRAIN), 2)
    every = (train(store).fitted.history[-1]["val/dice"] for store in (STORE, blank_validation(set(few.tolist()))))
    assert len(set(every)) == 2


def test_sequences_are_those_of_the_chosen_validation_subjects():
    few = settings(validation=1)
    data = resolve_data(few, STORE, None, 0, temporal=False, test=False, sequences=True)
    assert set(STORE.index["subject"][data.sequence_rows]) == set(validation_subjects(few, STORE, 0))


def test_without_validation_the_last_epoch_is_kept_and_no_validation_mask_is_read():
    done = train(validation="none")
    assert done.fitted.epoch == 3
    assert not any(name.startswith("val/") for row in done.fitted.history for name in row)
    assert done.labels == LabelCounts(len(TRAIN), 0)
    blanked = train(blank_validation(set()), validation="none")
    assert all((done.state[name] == value).all() for name, value in blanked.state.items())


def test_cross_validation_stays_inside_the_labelled_training_subjects():
    few = settings(validation="cross_validation", folds=2, labels=4)
    data = resolve_data(few, STORE, None, 0, temporal=False, test=False, sequences=False)
    inside = set(labelled_subjects(few, STORE, 0).tolist())
    assert [set(fold.train) | set(fold.val) for fold in data.folds] == [inside, inside]
    assert set.union(*(set(fold.val) for fold in data.folds)) == inside <= TRAIN
    assert data.labels == LabelCounts(4, 0)
    with pytest.raises(UserError, match=r"downstream\.folds is 5, expected at most the 4 labelled subjects"):
        resolve_data(replace(few, folds=5), STORE, None, 0, temporal=False, test=False, sequences=False)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"validation": 0}, "validation is 0, expected at least 1 subject"),
        ({"validation": "cross_validation"}, "folds is null. Fix: set folds"),
        ({"validation": "none", "folds": 2}, "each of 2 folds validates"),
        ({"test": "folds"}, "folds is null. Fix: set folds"),
        ({"test": "folds", "folds": 2}, "validation is all.. Fix: set validation to none"),
        (
            {"test": "folds", "folds": 2, "validation": "none", "batch_norm": "recalibrated"},
            "images of tested subjects",
        ),
        ({"validation": "none", "fit": replace(FIT, schedule=Plateau())}, "plateau schedule follows the validation"),
    ],
)
def test_combinations_that_cannot_work_are_refused(changed, message):
    with pytest.raises(ValueError, match=message):
        settings(**changed)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"validation": 99}, rf"downstream.validation is 99, the validation split has {len(VAL)} labelled subjects"),
        (
            {"validation": "same", "labels": len(VAL) + 1},
            rf"validation is same \({len(VAL) + 1} subjects\), .* number up to {len(VAL)}",
        ),
    ],
)
def test_more_validation_subjects_than_there_are_is_an_error(changed, message):
    with pytest.raises(UserError, match=message):
        validation_subjects(settings(**changed), STORE, 0)


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"label_fraction": 0.3, "validation": "same"},
        {"labels": 2, "validation": "same"},
        {"validation": 3},
        {"validation": "none"},
        {"validation": "cross_validation", "folds": 2},
    ],
)
def test_counts_of_a_listing_are_those_of_a_run(changed):
    counts = count_labels(settings(**changed), STORE)
    assert counts == chosen_labels(settings(**changed), len(TRAIN), len(VAL))
    data = resolve_data(settings(**changed), STORE, None, 9, temporal=False, test=False, sequences=False)
    assert data.labels == counts


def test_counts_are_told_in_words():
    assert str(LabelCounts(5, 2)) == "5 training + 2 validation subjects"
    assert str(LabelCounts(1, 0)) == "1 training + 0 validation subject"
