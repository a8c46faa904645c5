from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from toys import toy_store

from trainables.augment.policy import Policy
from trainables.data.sampling.batches import Batches
from trainables.downstream.losses import DiceCrossEntropy
from trainables.downstream.segmentation import Segmentation


class Threshold(nn.Module):
    """Network that segments pixels above a grey level as bright."""

    def __init__(self, level: float) -> None:
        super().__init__()
        self.level, self.backbone = level, nn.Identity()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.cat([self.level - images, images - self.level], 1)


def volumes():
    """Twelve frames: two volumes of four slices of one subject, one of another, and no stack."""
    store = toy_store(12, size=16)
    index = store.index.copy()
    index["subject"] = [0] * 8 + [1] * 4
    index["sequence"] = np.repeat([0, 1, 2], 4)
    index["frame"] = np.tile(np.arange(4), 3)
    index["split"] = 2
    masks = store.masks.copy()
    masks[3] = 0  # a slice beyond the structure
    return replace(store, index=index, masks=masks)


def judged(store, rows):
    task = Segmentation(Threshold(0.6), DiceCrossEntropy(), Policy.mild(), store)  # type: ignore[arg-type]
    task.normalise = nn.Identity()  # type: ignore[assignment]
    task.eval()
    batches = Batches(store, rows, 5, masks=True, shuffle=False)
    with torch.no_grad():
        return task.predict(batches.epoch(0)), task.evaluate(batches.epoch(0))


def dice(predicted, truth):
    return 2 * (predicted & truth).sum() / (predicted.sum() + truth.sum())


def test_a_volume_is_one_case_over_all_its_slices():
    store = volumes()
    store.index["stack"] = 1
    rows = np.arange(12)
    found, metrics = judged(store, rows)
    bright, truth = store.images[:, 0] / 255 > 0.6, store.masks > 0
    expected = [dice(bright[volume], truth[volume]) for volume in np.split(rows, 3)]
    np.testing.assert_allclose(found.dice[:, 0], expected, atol=1e-12)
    assert [int(case) // 4 for case in found.cases] == [0, 1, 2]
    largest = [volume[np.argmax(truth[volume].sum((1, 2)))] for volume in np.split(rows, 3)]
    assert truth[found.cases].sum((1, 2)).tolist() == truth[largest].sum((1, 2)).tolist()
    assert metrics["dice"] == pytest.approx(np.mean([np.mean(expected[:2]), expected[2]]))
    assert len(found.rows) == len(found.masks) == 12


def test_frames_of_a_cycle_are_cases_of_their_own():
    store = volumes()
    found, metrics = judged(store, np.arange(12))
    bright, truth = store.images[:, 0] / 255 > 0.6, store.masks > 0
    expected = np.array([dice(p, t) if (p | t).any() else 1.0 for p, t in zip(bright, truth, strict=True)])
    assert found.cases.tolist() == list(range(12))
    np.testing.assert_allclose(found.dice[:, 0], expected, atol=1e-12)
    assert metrics["dice"] == pytest.approx(np.mean([expected[:8].mean(), expected[8:].mean()]))
