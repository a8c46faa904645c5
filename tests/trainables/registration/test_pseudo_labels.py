import dataclasses

import numpy as np
import pytest
import torch
from toys import sequence_store

from trainables.common.errors import DataError
from trainables.engine.runtime import LocalRuntime
from trainables.engine.settings import FitSettings
from trainables.registration.network import DLIR
from trainables.registration.propagate import Propagation
from trainables.registration.pseudo_labels import DIRECTIONS, pseudo_labels
from trainables.registration.training import RegistrationSettings, train_registration

NETWORK = DLIR(grid_spacing=4, kernels=4)


def discs(dense: bool):
    """Still images of a disc; systole comes first in the second sequence of each split."""
    store = sequence_store([*["ED", "", "", "ES"], *["ES", "", "", "ED"]] * 3, 4)
    index = np.array(store.index)
    index["split"], index["spacing"] = np.repeat([0, 1, 2], 8), 1.5
    rows, columns = np.mgrid[:16, :16]
    masks = np.array([((rows - 8) ** 2 + (columns - 7) ** 2 <= 16)] * len(index), np.uint8)
    index["mask"] = np.where((index["phase"] > 0) | dense, np.arange(len(index)), -1)
    images = (masks[:, None] * 200).astype(np.uint8)
    return dataclasses.replace(store, index=index, masks=masks, images=images, classes=("background", "lv"))


def untrained():
    """At the start of training the network is the identity."""
    return NETWORK.build(1, (16, 16)).state_dict()


def test_frames_between_the_ends_of_train_and_val_are_labelled_in_order():
    store = discs(dense=False)
    made = pseudo_labels(Propagation(), NETWORK, untrained(), store, torch.device("cpu"))
    np.testing.assert_array_equal(made.labels.rows, np.arange(16))
    np.testing.assert_array_equal(made.labels.masks, store.masks[:16])
    assert made.quality == ()


def test_true_masks_between_are_compared_with_and_never_used():
    store = discs(dense=True)
    masks = np.array(store.masks)
    masks[[1, 2]] = np.roll(masks[[1, 2]], 4, axis=1)
    shifted = dataclasses.replace(store, masks=masks)
    made = pseudo_labels(Propagation(), NETWORK, untrained(), shifted, torch.device("cpu"))
    np.testing.assert_array_equal(made.labels.masks, store.masks[:16])
    assert len(made.quality) == 6 * 2 * len(DIRECTIONS)
    for each in made.quality:
        disc = store.masks[0] > 0
        moved = np.roll(disc, 4, axis=0)
        expected = 2 * (disc & moved).sum() / (2 * disc.sum()) if each.sequence == 0 else 1.0
        assert each.dice[0] == pytest.approx(expected)
        assert (each.mean_absolute[0] == 0) == (each.sequence > 0)
        assert each.position in (pytest.approx(1 / 3), pytest.approx(2 / 3))


def test_labels_propagate_from_diastole_even_if_systole_comes_first():
    store = discs(dense=True)
    masks = np.array(store.masks)
    masks[7] = 0  # the end-diastolic mask of the second sequence, its last frame
    made = pseudo_labels(
        Propagation(direction="forward"),
        NETWORK,
        untrained(),
        dataclasses.replace(store, masks=masks),
        torch.device("cpu"),
    )
    assert not made.labels.masks[5:7].any()
    assert made.labels.masks[1:3].any()


def test_a_dataset_without_frames_between_is_one_clear_error():
    store = discs(dense=False)
    index = np.array(store.index)
    index["phase"][index["split"] == 0] = 0
    with pytest.raises(DataError, match=r"no sequence of the train split has masks of both .* from 1 up"):
        pseudo_labels(Propagation(), NETWORK, untrained(), dataclasses.replace(store, index=index), torch.device("cpu"))


def test_colors_are_registered_and_warped():
    """Labels of still images stay where they are, whatever the number of channels."""
    gray = discs(dense=True)
    colored = dataclasses.replace(gray, images=np.repeat(gray.images, 3, axis=1), mean=(0.5,) * 3, std=(0.3,) * 3)
    settings = RegistrationSettings(network=NETWORK, fit=FitSettings(1, 4, precision="float32"))
    done = train_registration(settings, colored, LocalRuntime(), seed=0)
    assert np.isfinite(done.fitted.metrics["val/loss"])
    made = pseudo_labels(Propagation(), NETWORK, done.state, colored, torch.device("cpu"))
    np.testing.assert_array_equal(made.labels.rows, np.arange(16))
    dice = [overlap(made.labels.masks[n], gray.masks[n]) for n in range(16)]
    assert min(dice) > 0.9


def overlap(one: np.ndarray, two: np.ndarray) -> float:
    return 2 * (one & two).sum() / (one.sum() + two.sum())
