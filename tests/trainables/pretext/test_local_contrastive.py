import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from toys import toy_store

from trainables.augment.draw import Draw
from trainables.augment.geometry import Crop, Rotate
from trainables.augment.policy import Policy
from trainables.loop import FitSettings
from trainables.networks import UNet, UNetEncoder
from trainables.optim.optimizers import Adam
from trainables.pretext.global_contrastive import GlobalContrastive
from trainables.pretext.local_contrastive import LocalContrastive, matching, region_contrast
from trainables.pretext.pretrain import PretextSettings, pretrain
from trainables.runtime import LocalRuntime

MOVING = Policy(crop=Crop((0.4, 1.0)), rotate=Rotate(30.0), jitter=None, blur=None)
NETWORK = UNet(UNetEncoder(width=8, depth=2))


def test_matching_regions_show_the_same_place_after_crop_flip_and_rotation():
    """Images whose two channels hold each pixel's own coordinates say where a place came from."""
    line = (torch.arange(64) + 0.5) / 32 - 1
    painted = torch.stack(torch.meshgrid(line, line, indexing="xy")).expand(6, 2, 64, 64) * 0.5 + 0.5
    draws = [Draw(seed, 6, 0, 6) for seed in (1, 2)]
    places, there = matching(MOVING, draws, Draw(3, 6, 0, 6), 40)
    assert 0.2 < there.float().mean() < 1
    seen = []
    for draw, place in zip(draws, places, strict=True):
        view, _ = MOVING.apply(painted, None, draw)
        seen.append(F.grid_sample(view, place[:, None], align_corners=False)[:, :, 0].transpose(1, 2))
    away = (seen[0] - seen[1]).abs().amax(2)[there]
    assert away.max() < 0.03  # of the image's side


def test_the_loss_is_that_of_finding_the_match_among_the_other_regions():
    rng = np.random.default_rng(0)
    one, two, tau = rng.normal(size=(2, 4, 3)), rng.normal(size=(2, 4, 3)), 0.5
    there = np.array([[True, True, True, False], [True, True, True, True]])
    near = np.zeros((2, 4, 4), bool)
    near[:, range(4), range(4)] = True
    near[0, 0, 1] = near[0, 1, 0] = True
    total, count = 0.0, 0
    for image in range(2):
        views = [z / np.linalg.norm(z) for z in np.concatenate([one[image], two[image]])]
        for i in range(8):
            if not there[image, i % 4]:
                continue
            match = (i + 4) % 8
            others = [j for j in range(8) if there[image, j % 4] and not near[image, i % 4, j % 4]]
            similar = [math.exp(views[i] @ views[j] / tau) for j in (match, *others)]
            total -= math.log(similar[0] / sum(similar))
            count += 1
    loss, _ = region_contrast(torch.tensor(one), torch.tensor(two), torch.tensor(there), torch.tensor(near), tau)
    assert loss.item() == pytest.approx(total / count, abs=1e-9)


def test_an_image_without_matching_regions_does_not_count():
    one = torch.randn(1, 3, 4, requires_grad=True)
    nowhere, itself = torch.zeros(1, 3, dtype=torch.bool), torch.eye(3).bool()[None]
    loss, accuracy = region_contrast(one, one.detach(), nowhere, itself, 0.1)
    assert (loss.item(), accuracy.item()) == (0.0, 0.0)
    loss.backward()
    assert torch.isfinite(one.grad).all()


def test_two_stages_the_first_for_the_encoder_the_second_for_the_decoder_alone():
    store = toy_store(48, size=16)
    fit = FitSettings(10, 8, Adam(lr=3e-3), precision="float32")
    views = Policy(crop=Crop((0.6, 1.0)), blur=None)
    first = PretextSettings(GlobalContrastive(projection=8), fit, views, "all")
    encoder = pretrain(first, NETWORK, store, LocalRuntime(), seed=0).weights
    second = PretextSettings(LocalContrastive(projection=8), fit, views, "all", first)
    done = pretrain(second, NETWORK, store, LocalRuntime(), seed=0, start=encoder)
    assert all(torch.equal(done.weights[name], value) for name, value in encoder.items())  # statistics too
    torch.manual_seed(0)
    assert any(name.startswith("decoder.") for name in done.weights)
    history = done.fitted.history
    assert history[-1]["loss"] < history[0]["loss"]
    with pytest.raises(ValueError, match="first is missing: LocalContrastive goes on from an earlier pretext stage"):
        PretextSettings(LocalContrastive())
