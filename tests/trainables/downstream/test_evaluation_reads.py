import dataclasses

import numpy as np
import pytest
import torch
from toys import sequence_store, toy_store

from trainables.augment.policy import Policy
from trainables.data.sampling.batches import Batches
from trainables.downstream.data import without_images
from trainables.downstream.losses import DiceCrossEntropy
from trainables.downstream.segmentation import Segmentation, evaluate_masks
from trainables.downstream.temporal import TemporalSegmentation
from trainables.downstream.test_metrics import curves, distances, volumes
from trainables.downstream.transfer import Transfer
from trainables.networks import UNet, UNet3D, UNetEncoder

ENCODER = UNetEncoder(width=4, depth=2)
PLAIN = Policy(strength=0.0)


class CountingArray:
    """Array that counts how often each of its rows is read."""

    def __init__(self, values: np.ndarray) -> None:
        self.values, self.shape = values, values.shape
        self.reads = np.zeros(len(values), int)

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        np.add.at(self.reads, rows, 1)
        return self.values[rows]


def counting(store):
    return dataclasses.replace(store, images=CountingArray(store.images), masks=CountingArray(store.masks))


@pytest.mark.parametrize("masks", [False, True])
def test_evaluation_reads_images_and_masks_once(masks):
    store = counting(toy_store(12, size=16))
    task = Segmentation(UNet(ENCODER).build(1, 2), DiceCrossEntropy(), PLAIN, store).eval()
    with torch.no_grad():
        task.evaluate(Batches(store, np.arange(12), 5, masks=masks, shuffle=False).epoch())
    assert store.images.reads.tolist() == [1] * 12
    assert store.masks.reads.tolist() == [1] * 12


def test_temporal_evaluation_reads_each_frame_once():
    plain = toy_store(12, size=16)
    index = plain.index.copy()
    index["sequence"], index["frame"] = np.repeat([0, 1], 6), np.tile(np.arange(6), 2)
    store = counting(dataclasses.replace(plain, index=index))
    network = UNet3D(ENCODER, window=4).build(1, 2)
    task = TemporalSegmentation(network, DiceCrossEntropy(), PLAIN, store, Transfer(), 4, 2).eval()
    with torch.no_grad():
        found = task.predict(Batches(without_images(store), np.arange(12), 4, shuffle=False).epoch())
    assert found.rows.tolist() == list(range(12))
    assert store.images.reads.tolist() == [1] * 12
    assert store.masks.reads.tolist() == [1] * 12


@pytest.mark.parametrize("external", [False, True])
def test_test_metrics_use_the_reference_masks_of_the_evaluation(external):
    plain = sequence_store(["ED", "", "ES"] * 2, 3, spacing=1.0)
    store = counting(dataclasses.replace(plain, classes=("background", "lv")))
    rows, evaluated = np.arange(6), np.array([0, 2, 3, 5])
    if external:
        found = evaluate_masks(store, rows, plain.masks)
    else:
        task = Segmentation(UNet(ENCODER).build(1, 2), DiceCrossEntropy(), PLAIN, store).eval()
        with torch.no_grad():
            found = task.predict(Batches(store, rows, 4, shuffle=False).epoch())
    np.testing.assert_array_equal(found.reference_rows, evaluated)
    np.testing.assert_array_equal(found.references, plain.masks[evaluated])
    assert len(distances(store, found).hausdorff) == 4
    assert [measured.view for measured in volumes(store, found)] == ["4CH", "4CH"]
    assert len(curves(store, found)) == 2
    assert store.masks.reads.tolist() == [1, 0, 1, 1, 0, 1]
