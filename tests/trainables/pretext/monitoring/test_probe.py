from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from toys import toy_store

from trainables.common.errors import DataError
from trainables.data.records import SPLITS
from trainables.engine.optim.optimizers import Adam
from trainables.engine.runtime import LocalRuntime
from trainables.engine.settings import FitSettings
from trainables.networks import UNetEncoder
from trainables.networks.backbones import Backbone
from trainables.pretext.monitoring.probe import (
    LinearProbe,
    Probe,
    features_at,
    pixel_weights,
    ridge_regression,
    segment,
)
from trainables.pretext.pretrain import PretextSettings, pretrain
from trainables.pretext.simclr import SimCLR

STORE = toy_store(48, size=16)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("count", [12, 60])
def test_ridge_regression_is_least_squares_with_further_rows_for_the_penalty(count):
    x, t = 5 + 3 * noise(count, 20).double(), noise(count, 3, seed=1).double()
    x[:, 4] = 7.0
    w = torch.rand(count, generator=torch.Generator().manual_seed(2)).double()
    w /= w.sum()
    found, offset = ridge_regression(x, t, w, 0.3)
    a, weight = x.numpy(), w.numpy()
    mean = weight @ a
    spread = np.sqrt(weight @ (a - mean) ** 2)
    root = np.sqrt(weight)[:, None]
    rows = np.concatenate([root * np.c_[a, np.ones(count)], np.c_[np.sqrt(0.3) * np.diag(spread), np.zeros(20)]])
    keep = np.r_[np.delete(np.arange(20), 4), 20]
    targets = np.concatenate([root * t.numpy(), np.zeros((20, 3))])
    expected = np.linalg.lstsq(rows[:, keep], targets, rcond=None)[0]
    np.testing.assert_allclose(np.delete(found.numpy(), 4, 0), expected[:-1], rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(found[4].numpy(), 0)
    np.testing.assert_allclose(offset.numpy(), expected[-1], rtol=1e-6)


def test_a_class_weighs_the_root_of_its_share():
    weights = pixel_weights(torch.tensor([0] * 16 + [2] * 4), 3)
    assert float(weights[:16].sum() / weights[16:].sum()) == pytest.approx(2)
    assert float(weights.sum()) == pytest.approx(1)


def test_features_are_read_and_scores_made_as_if_every_map_were_enlarged():
    maps, side = [noise(2, 3, 8, 8), noise(2, 5, 3, 3, seed=1)], 12
    enlarged = torch.cat([F.interpolate(each, (side, side), mode="bilinear", align_corners=False) for each in maps], 1)
    places = torch.stack([torch.randperm(side * side, generator=torch.Generator().manual_seed(i)) for i in (0, 1)])
    expected = torch.stack([image.flatten(1)[:, place].T for image, place in zip(enlarged, places, strict=True)])
    torch.testing.assert_close(features_at(maps, places, side), expected.flatten(0, 1), rtol=1e-5, atol=1e-5)
    weights, offset = noise(8, 4, seed=3).double(), noise(4, seed=4).double()
    scores = torch.einsum("bchw,ck->bkhw", enlarged, weights.float()) + offset.float().view(1, -1, 1, 1)
    torch.testing.assert_close(segment(maps, weights, offset, side), scores, rtol=1e-5, atol=1e-5)


class Seeing(Backbone):
    """Tells bright pixels, or with `blind` nothing."""

    channels = (2, 1)

    def __init__(self, blind: bool = False) -> None:
        super().__init__()
        self.blind = blind

    def stages(self) -> list[nn.Module]:
        return [self]

    def features(self, images: Tensor) -> list[Tensor]:
        bright = (images * 0.25 + 0.5 > 128.5 / 255).float() * (not self.blind)  # the store's mean and deviation
        return [torch.cat([bright, 1 - bright], 1), torch.zeros_like(bright[..., ::4, ::4])]


def probe_of(backbone: Backbone, store=STORE, **settings: float) -> LinearProbe:
    return LinearProbe(Probe(**{"frames": 6, "pixels": 40} | settings), backbone, store, 5, torch.device("cpu"), 0)


def test_the_probe_scores_only_what_the_features_contain():
    found = probe_of(Seeing())()
    assert found == {"probe_dice": pytest.approx(1.0), "probe_dice/bright": pytest.approx(1.0)}
    blind = probe_of(Seeing(blind=True))()["probe_dice"]
    masks = STORE.masks[STORE.index["mask"][STORE.rows("val")]].astype(bool)
    nothing = np.mean([not mask.any() for mask in masks])
    everything = np.mean([2 * mask.sum() / (mask.sum() + mask.size) for mask in masks])
    assert blind == pytest.approx(nothing) or blind == pytest.approx(everything)


def test_frames_come_from_train_and_val_alone():
    probe = probe_of(Seeing())
    assert set(probe.fit_batches.rows()) < set(STORE.rows("train"))
    assert len(probe.fit_batches.rows()) == 6
    assert np.array_equal(probe.eval_batches.rows(), STORE.rows("val"))
    test = STORE.rows("test")
    other = replace(STORE, images=STORE.images.copy(), masks=STORE.masks.copy())
    other.images[test], other.masks[test] = 0, 1
    torch.manual_seed(0)
    backbone = UNetEncoder(width=4, depth=2).build(1).eval()
    assert probe_of(backbone, other)() == probe_of(backbone)()


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_split_without_labels_is_refused(split):
    index = STORE.index.copy()
    index["mask"][index["split"] == SPLITS.index(split)] = -1
    with pytest.raises(DataError, match=f"pretext.probe needs labelled frames, the dataset has none in its {split}"):
        probe_of(Seeing(), replace(STORE, index=index))


def test_a_pretraining_logs_it_at_each_evaluation_and_learns_the_same():
    fit = FitSettings(3, 8, Adam(lr=1e-3), precision="float32", evaluate_every=2)
    done = {
        probe: pretrain(
            PretextSettings(SimCLR(projection=8), fit, frames="all", probe=probe),
            UNetEncoder(width=4, depth=2),
            STORE,
            LocalRuntime(),
            seed=0,
        )
        for probe in (None, Probe(frames=4, pixels=20))
    }
    plain, probed = done.values()
    assert all(torch.equal(plain.weights[name], value) for name, value in probed.weights.items())
    assert ["val/probe_dice" in row for row in probed.fitted.history] == [False, True, True]
    assert 0 < probed.fitted.history[-1]["val/probe_dice/bright"] <= 1
    assert not any("probe" in name for row in plain.fitted.history for name in row)
