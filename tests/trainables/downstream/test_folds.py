from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from toys import toy_store

from trainables.augment.policy import Policy
from trainables.common.errors import UserError
from trainables.data.sampling.batches import Batches
from trainables.downstream.data import resolve_data
from trainables.downstream.finetune import finetune
from trainables.downstream.folds import split_folds
from trainables.downstream.losses import DiceCrossEntropy
from trainables.downstream.segmentation import Segmentation, evaluate_masks, predict
from trainables.downstream.settings import DownstreamSettings
from trainables.engine.optim.optimizers import Adam
from trainables.engine.runtime import LocalRuntime
from trainables.engine.settings import FitSettings
from trainables.networks import UNet, UNetEncoder
from trainables.networks.weights import part_of

STORE = toy_store(30, size=16)
NETWORK = UNet(UNetEncoder(width=4, depth=1))
SETTINGS = DownstreamSettings(
    folds=3, fit=FitSettings(4, 4, Adam(lr=1e-2), precision="float32"), augment=Policy(strength=0.0)
)


@given(st.integers(2, 6), st.integers(6, 40), st.integers(0, 9))
def test_every_subject_is_left_out_once(folds, subjects, seed):
    parts = split_folds(np.arange(subjects) * 3, folds, seed)
    left_out = np.concatenate([val for _, val in parts])
    assert sorted(left_out) == list(np.arange(subjects) * 3)
    sizes = [len(val) for _, val in parts]
    assert max(sizes) - min(sizes) <= 1
    for train, val in parts:
        assert sorted([*train, *val]) == list(np.arange(subjects) * 3)


def test_predictions_of_the_folds_are_averaged_on_the_test_split():
    done = finetune(SETTINGS, NETWORK, None, STORE, LocalRuntime(), seed=0, test=True)
    assert len(done.fitted.history) == 12
    tasks = []
    for number in range(3):
        task = Segmentation(NETWORK.build(1, 2), DiceCrossEntropy(), Policy(strength=0.0), STORE).eval()
        prefix = f"{number}."
        task.network.load_state_dict({k.removeprefix(prefix): v for k, v in done.state.items() if k.startswith(prefix)})
        tasks.append(task)
    assert done.test is not None
    images = torch.from_numpy(STORE.images[done.test.rows]).float() / 255
    with torch.no_grad():
        mean = sum(task.network(task.normalise(images)).softmax(1) for task in tasks) / 3
        np.testing.assert_array_equal(done.test.masks, mean.argmax(1).numpy())
        alone = predict(tasks[:1], Batches(STORE, done.test.rows, 8, shuffle=False).epoch())
    assert not np.array_equal(alone.masks, done.test.masks)
    assert set(STORE.index["split"][done.test.rows]) == {2}


class Killed(Exception):
    pass


@pytest.mark.parametrize("after", [2, 5, 8, 11])
def test_a_killed_cross_validation_resumes_to_the_same_result(tmp_path, after):
    def kill(epoch: int, metrics: object) -> None:
        if epoch == after:
            raise Killed

    whole = finetune(SETTINGS, NETWORK, None, STORE, LocalRuntime(), seed=0, test=True)
    with pytest.raises(Killed):
        finetune(SETTINGS, NETWORK, None, STORE, LocalRuntime(tmp_path, kill, save_every=0), seed=0, test=True)
    trained = []
    resumed = LocalRuntime(tmp_path, lambda epoch, metrics: trained.append(epoch), save_every=0)
    again = finetune(SETTINGS, NETWORK, None, STORE, resumed, seed=0, test=True)
    assert trained[0] in (after, after + 1)
    assert trained[-1] == 12
    assert all(torch.equal(again.state[name], value) for name, value in whole.state.items())
    np.testing.assert_array_equal(again.test.masks, whole.test.masks)
    assert again.fitted.metrics.keys() == whole.fitted.metrics.keys()
    assert again.fitted.metrics["val/dice"] == whole.fitted.metrics["val/dice"]


def test_more_folds_than_subjects_are_refused():
    settings = DownstreamSettings(folds=40, fit=FitSettings(1, 4))
    with pytest.raises(UserError, match="folds is 40, expected at most the 20 labelled subjects"):
        finetune(settings, NETWORK, None, STORE, LocalRuntime(), seed=0)
    with pytest.raises(ValueError, match="folds is 1, expected a whole number from 2 up"):
        DownstreamSettings(folds=1)


TESTED = replace(SETTINGS, test="folds", validation="none")


def test_each_subject_is_tested_by_the_network_that_has_not_seen_it():
    done = finetune(TESTED, NETWORK, None, STORE, LocalRuntime(), seed=0, test=True)
    assert done.test is not None
    labelled = STORE.rows("train", labelled=True)
    assert done.test.rows.tolist() == labelled.tolist()
    assert done.test.reference_rows.tolist() == labelled.tolist()
    data = resolve_data(TESTED, STORE, None, 0, temporal=False, test=True, sequences=False)
    for number, fold in enumerate(data.folds):
        task = Segmentation(NETWORK.build(1, 2), DiceCrossEntropy(), Policy(strength=0.0), STORE).eval()
        task.network.load_state_dict(part_of(done.state, str(number)))
        own = np.flatnonzero(np.isin(STORE.index["subject"][labelled], fold.test))
        assert len(own)
        with torch.no_grad():
            images = torch.from_numpy(STORE.images[labelled[own]]).float() / 255
            alone = task.network(task.normalise(images)).argmax(1).numpy()
        np.testing.assert_array_equal(done.test.masks[own], alone)
    expected = evaluate_masks(STORE, done.test.rows, done.test.masks)
    np.testing.assert_array_equal(done.test.cases, expected.cases)
    np.testing.assert_allclose(done.test.dice, expected.dice, atol=1e-6)


def test_the_masks_of_tested_subjects_change_nothing_of_their_predictions():
    whole = finetune(TESTED, NETWORK, None, STORE, LocalRuntime(), seed=0, test=True)
    data = resolve_data(TESTED, STORE, None, 0, temporal=False, test=True, sequences=False)
    left_out = data.rows_of(data.folds[1], STORE.rows("train", labelled=True))
    masks = np.array(STORE.masks)
    masks[STORE.index["mask"][left_out]] = 1 - masks[STORE.index["mask"][left_out]]
    other = finetune(TESTED, NETWORK, None, replace(STORE, masks=masks), LocalRuntime(), seed=0, test=True)
    own = np.isin(whole.test.rows, left_out)
    np.testing.assert_array_equal(whole.test.masks[own], other.test.masks[own])
    assert not np.array_equal(whole.test.masks[~own], other.test.masks[~own])
    assert not any(name.startswith("val/") for name in whole.fitted.metrics)
