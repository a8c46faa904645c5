import dataclasses

import numpy as np
import pytest
import torch
from torch import nn
from toys import sequence_store

from trainables.augment.geometry import Flip, Rotate
from trainables.augment.intensity import Jitter, Noise
from trainables.augment.policy import Policy
from trainables.common.errors import DataError
from trainables.data.sampling.batches import Batches
from trainables.data.sampling.targets import DenseLabels
from trainables.downstream.finetune import finetune
from trainables.downstream.losses import Dice, DiceCrossEntropy
from trainables.downstream.selection import dense_sequences
from trainables.downstream.settings import DownstreamSettings
from trainables.downstream.temporal import TemporalSegmentation
from trainables.downstream.transfer import Transfer
from trainables.engine.optim.optimizers import Adam
from trainables.engine.runtime import LocalRuntime
from trainables.engine.settings import FitSettings
from trainables.networks import UNet, UNet3D, UNetEncoder

PLAIN = Policy(strength=0.0)
ENCODER = UNetEncoder(width=4, depth=2)
PHASES = ["ED", "", "", "", "ES"]


def moving_store(sequences: int = 12, masks: bool = True):
    """A bright disc that shrinks from end-diastole to end-systole; a mask of every frame, or of the ends."""
    store = sequence_store(PHASES * sequences, len(PHASES))
    index = np.array(store.index)
    index["split"] = np.repeat(np.arange(sequences) * 3 // sequences, len(PHASES))
    rows, columns = np.mgrid[:16, :16]
    rng = np.random.default_rng(0)
    centre = np.repeat(rng.uniform(6, 9, (sequences, 2)), len(PHASES), 0)
    radius = np.tile(np.linspace(5, 2.5, len(PHASES)), sequences)
    inside = [(rows - c[0]) ** 2 + (columns - c[1]) ** 2 <= r**2 for c, r in zip(centre, radius, strict=True)]
    truth = np.array(inside, np.uint8)
    images = (rng.integers(0, 60, (len(index), 1, 16, 16)) + 150 * truth[:, None]).astype(np.uint8)
    if masks:
        index["mask"] = np.arange(len(index))
    return dataclasses.replace(store, images=images, masks=truth, index=index, classes=("background", "lv"))


class Recorder(nn.Module):
    """Network that records its inputs and predicts class 1 where a pixel is bright."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone, self.seen = nn.Identity(), []
        self.scale = nn.Parameter(torch.tensor(4.0))

    def forward(self, images):
        self.seen.append(images.detach())
        return torch.cat([-self.scale * images, self.scale * images], 1)


def task_of(store, window, policy=PLAIN, windows_per_batch=2):
    network = Recorder()
    task = TemporalSegmentation(network, DiceCrossEntropy(), policy, store, Transfer(), window, windows_per_batch)  # type: ignore[arg-type]
    return task, network


def test_a_window_is_moved_as_one_and_its_frames_have_noise_of_their_own():
    store = moving_store()
    rows = np.stack([np.arange(0, 3), np.arange(5, 8)])
    policy = dataclasses.replace(PLAIN, strength=1.0, flip=Flip(), rotate=Rotate(40.0), jitter=Jitter(0.4, 0.4))
    same = np.array(store.images)
    same[rows[:, 1:]] = same[rows[:, :1]]
    still = dataclasses.replace(store, images=same)
    for policy_now, alike in ((policy, True), (dataclasses.replace(policy, noise=Noise(p=1.0)), False)):
        task, network = task_of(still, 3, policy_now)
        task.training_step(next(Batches(still, rows, 2, seed=4, masks=True, shuffle=False).epoch()))
        (seen,) = network.seen
        assert seen.shape == (2, 1, 3, 16, 16)
        assert torch.equal(seen[:, :, 0], seen[:, :, 2]) == alike
    assert not torch.equal(seen[0], seen[1])


def test_masks_move_with_their_frames():
    store = moving_store()
    bright = dataclasses.replace(store, images=(store.masks * 255)[:, None])
    policy = Policy(crop=None, jitter=None, blur=None, flip=Flip(1.0))
    task, network = task_of(bright, 5, policy)
    network.scale.data.fill_(50.0)
    loss = task.training_step(next(Batches(bright, np.arange(10).reshape(2, 5), 2, masks=True).epoch()))["loss"]
    assert loss.item() < 0.1


def test_a_sequence_is_predicted_by_the_mean_of_its_windows():
    store = moving_store()
    test = store.rows("test")
    task, network = task_of(store, 3)
    task.eval()
    with torch.no_grad():
        found = task.predict(Batches(store, test, 7, shuffle=False).epoch())
    windows = sum(len(seen) for seen in network.seen)
    assert windows == 4 * 5  # of four sequences, each once, though batches of seven cut them
    np.testing.assert_array_equal(found.rows, test)
    np.testing.assert_array_equal(found.masks, (store.images[test, 0] / 255 > 0.5).astype(np.uint8))
    assert len(found.cases) == len(test)
    task.train()
    assert task._last is None


@pytest.mark.parametrize("network", [UNet(ENCODER), UNet3D(ENCODER, window=4)], ids=["2d", "over time"])
def test_pseudo_labels_are_trained_on_and_only_reference_masks_evaluated(network):
    store = moving_store(24)
    between = np.flatnonzero((store.index["phase"] == 0) & (store.index["split"] == 0))
    dense = DenseLabels(between, np.array(store.masks[between]))
    fit = FitSettings(30, 4, Adam(lr=1e-2), precision="float32", evaluate_every=10)
    settings = DownstreamSettings(targets="propagated", loss=Dice(), fit=fit, augment=PLAIN)
    done = finetune(settings, network, None, store, LocalRuntime(), seed=0, test=True, dense=dense)
    assert done.test is not None
    assert done.fitted.metrics["val/dice"] > 0.8
    np.testing.assert_array_equal(done.test.rows, store.rows("test"))
    assert (store.index["phase"][done.test.cases] > 0).all()
    assert len(done.test.cases) == 2 * 8


def test_pseudo_labels_of_a_subject_without_labels_are_not_learned_from():
    store = moving_store(24)
    between = np.flatnonzero((store.index["phase"] == 0) & (store.index["split"] == 0))
    wrong = DenseLabels(between, 1 - np.array(store.masks[between]))
    fit = FitSettings(1, 4, Adam(lr=1e-2), precision="float32")
    settings = DownstreamSettings(targets="propagated", labels=2, fit=fit, augment=PLAIN)
    one = finetune(settings, UNet(ENCODER), None, store, LocalRuntime(), seed=0, dense=wrong)
    from trainables.downstream.labels import labelled_subjects

    chosen = labelled_subjects(settings, store, 0)
    others = ~np.isin(store.index["subject"][between], chosen)
    masks = wrong.masks.copy()
    masks[others] = 0
    two = finetune(settings, UNet(ENCODER), None, store, LocalRuntime(), seed=0, dense=DenseLabels(between, masks))
    assert all(torch.equal(one.state[name], value) for name, value in two.state.items())
    masks[~others] = 0
    three = finetune(settings, UNet(ENCODER), None, store, LocalRuntime(), seed=0, dense=DenseLabels(between, masks))
    assert not all(torch.equal(one.state[name], value) for name, value in three.state.items())


def test_a_network_over_time_wants_a_mask_of_every_frame():
    sparse = moving_store(masks=False)
    settings = DownstreamSettings(targets="ed_es", fit=FitSettings(1, 4), augment=PLAIN)
    with pytest.raises(DataError, match=r"4 of 4 training sequences have frames without a mask .*targets: propagated"):
        finetune(settings, UNet3D(ENCODER, window=4), None, sparse, LocalRuntime(), seed=0)
    index = np.array(sparse.index)
    index["stack"] = 1
    with pytest.raises(DataError, match="no labelled sequence"):
        dense_sequences(dataclasses.replace(sparse, index=index), np.arange(5))
