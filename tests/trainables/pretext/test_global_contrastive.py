import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from toys import toy_store

from trainables.augment.geometry import Crop
from trainables.augment.intensity import Jitter
from trainables.augment.policy import Policy
from trainables.common.errors import DataError
from trainables.data.store.frames import FrameStore
from trainables.engine.optim.optimizers import Adam
from trainables.engine.runtime import LocalRuntime
from trainables.engine.settings import FitSettings
from trainables.networks import UNetEncoder
from trainables.pretext.global_contrastive import (
    GlobalContrastive,
    partition_accuracy,
    partition_contrast,
    partition_of,
)
from trainables.pretext.parts.nt_xent import nt_xent
from trainables.pretext.pretrain import PretextSettings, pretrain


def test_the_loss_is_that_of_finding_ones_own_part():
    rng = np.random.default_rng(0)
    one, two, parts, tau = rng.normal(size=(5, 3)), rng.normal(size=(5, 3)), [0, 1, 0, 2, 1], 0.4
    views = [z / np.linalg.norm(z) for z in np.concatenate([one, two])]
    label = parts * 2
    total = 0.0
    for i in range(10):
        repelled = sum(math.exp(views[i] @ views[j] / tau) for j in range(10) if label[j] != label[i])
        lost = []
        for p in range(10):
            if p != i and label[p] == label[i]:
                attracted = math.exp(views[i] @ views[p] / tau)
                lost.append(-math.log(attracted / (attracted + repelled)))
        total += sum(lost) / len(lost)
    found = partition_contrast(torch.tensor(one), torch.tensor(two), torch.tensor(parts), tau)
    assert found.item() == pytest.approx(total / 10, abs=1e-9)


def test_where_every_image_is_a_part_of_its_own_it_is_nt_xent():
    one, two = torch.randn(2, 6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    parts = partition_contrast(one, two, torch.arange(6), 0.2)
    torch.testing.assert_close(parts, nt_xent(one, two, 0.2)[0], rtol=0, atol=1e-9)


def test_views_find_their_partition_by_chance_unless_they_resemble_it():
    generator = torch.Generator().manual_seed(0)
    parts = torch.randint(4, (200,), generator=generator)
    accuracy, chance = partition_accuracy(torch.randn(400, 8, generator=generator), parts)
    counts = np.bincount(parts.numpy())
    expected = np.mean([(counts[part] - 1) / 199 for part in parts.numpy()])
    assert chance.item() == pytest.approx(expected, rel=1e-5)
    assert accuracy.item() == pytest.approx(expected, abs=0.08)
    alike = torch.nn.functional.one_hot(parts.repeat(2)).float()
    assert partition_accuracy(alike, parts)[0].item() == 1.0
    lonely = torch.arange(6)
    assert [each.item() for each in partition_accuracy(torch.randn(12, 4), lonely)] == [0.0, 1.0]


def test_slices_are_divided_evenly_and_frames_of_a_cycle_not():
    store = toy_store(12)
    index = store.index.copy()
    index["sequence"] = [0] * 8 + [1] * 4
    index["frame"] = [*range(8), *range(4)]
    index["stack"] = [1] * 8 + [0] * 4
    parts = partition_of(replace(store, index=index), 4)
    assert parts[:8].tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert len(set(parts[8:].tolist())) == 4
    assert parts[8:].min() >= 4


def volumes(count: int = 12, slices: int = 8) -> FrameStore:
    """Volumes of noise whose slices grow brighter."""
    store = toy_store(count * slices, size=16)
    index = store.index
    index["sequence"] = index["subject"] = np.arange(len(index)) // slices
    index["frame"] = np.arange(len(index)) % slices
    index["split"] = np.where(index["sequence"] % 4 == 3, 1, 0)
    index["stack"] = 1
    brightness = (index["frame"] * 24).astype(np.uint8)[:, None, None, None]
    return replace(store, images=store.images // 8 + brightness)


def test_it_learns_to_tell_the_parts_of_volumes_apart():
    fit = FitSettings(20, 8, Adam(lr=3e-3), precision="float32")
    views = Policy(crop=Crop((0.6, 1.0)), jitter=Jitter(0.2, 0.2), blur=None)
    settings = PretextSettings(GlobalContrastive(partitions=4), fit, views, "all")
    history = pretrain(settings, UNetEncoder(width=4, depth=2), volumes(32), LocalRuntime(), seed=0).fitted.history
    assert sum(row["loss"] for row in history[-3:]) < 0.7 * sum(row["loss"] for row in history[:3])
    assert history[-1]["val/loss"] < 0.8 * history[0]["val/loss"]


def test_parts_need_volumes():
    method = GlobalContrastive(partitions=4)
    assert len(method.rows(volumes(), np.arange(5))) == 5
    with pytest.raises(DataError, match="partitions is 4, but the dataset has no volumes of slices; expected 1"):
        method.rows(toy_store(), np.arange(5))


def test_a_batch_from_a_single_part_has_no_loss_and_no_gradient():
    one, two = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    loss = partition_contrast(one, two, torch.zeros(3, dtype=torch.long), 0.1)
    (gradient,) = torch.autograd.grad(loss, one)
    assert loss == 0
    assert (gradient == 0).all()


@pytest.mark.parametrize("bad", [{"temperature": 0}, {"partitions": 0}, {"projection": 1}])
def test_settings_out_of_range_are_refused(bad):
    with pytest.raises(ValueError, match="expected"):
        GlobalContrastive(**bad)
