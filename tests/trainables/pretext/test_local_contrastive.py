import contextlib
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from toys import toy_store

from trainables.augment.batch_rng import BatchRNG
from trainables.augment.geometry import Crop, Rotate, Scale, Translate
from trainables.augment.policy import Policy
from trainables.data.sampling.batches import Batch
from trainables.engine.grad_accumulation import accumulate_gradients
from trainables.engine.optim.optimizers import Adam
from trainables.engine.runtime import LocalRuntime
from trainables.engine.settings import FitSettings
from trainables.engine.split import split
from trainables.networks import DeepLabV3, TinyResNet, UNet, UNetEncoder
from trainables.networks.batchnorm import synchronise
from trainables.pretext.global_contrastive import GlobalContrastive
from trainables.pretext.local_contrastive import (
    LocalContrastive,
    corresponding_points,
    overlapping_regions,
    region_contrast,
)
from trainables.pretext.pretrain import PretextSettings, pretrain

MOVING = Policy(
    crop=Crop((0.4, 1.0)),
    rotate=Rotate(30.0),
    translate=Translate(0.1),
    scale=Scale((0.8, 1.25)),
    jitter=None,
    blur=None,
)
VIEWS = Policy(crop=Crop((0.6, 1.0)), blur=None)
NETWORK = UNet(UNetEncoder(width=8, depth=2))


def test_matching_regions_show_the_same_place_after_every_operation():
    """Images whose two channels hold each pixel's own coordinates say where a place came from."""
    line = (torch.arange(64) + 0.5) / 32 - 1
    painted = torch.stack(torch.meshgrid(line, line, indexing="xy")).expand(20, 2, 64, 64) * 0.5 + 0.5
    draws = [BatchRNG(seed, 20, 0, 20) for seed in (1, 2)]
    places, matched = corresponding_points(MOVING, draws, BatchRNG(3, 20, 0, 20), 40, (64, 64))
    assert 0.2 < matched.float().mean() < 1
    seen = []
    for draw, place in zip(draws, places, strict=True):
        view, _ = MOVING.apply(painted, None, draw)
        seen.append(F.grid_sample(view, place[:, None], align_corners=False)[:, :, 0].transpose(1, 2))
    away = (seen[0] - seen[1]).abs().amax(2)[matched]
    assert away.max() < 0.03  # of the image's side
    elsewhere = (seen[0] - seen[1].roll(1, 1)).abs().amax(2)[matched]
    assert elsewhere.mean() > 0.1  # so that no other pairing would do
    assert (places[0] - places[1]).abs().amax(2)[matched].mean() > 0.2


def test_places_are_as_exact_in_a_half_precision_step():
    draws = [BatchRNG(seed, 20, 0, 20) for seed in (1, 2)]
    exact, _ = corresponding_points(MOVING, draws, BatchRNG(3, 20, 0, 20), 40, (64, 64))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found, _ = corresponding_points(MOVING, draws, BatchRNG(3, 20, 0, 20), 40, (64, 64))
    assert torch.equal(found, exact)


def test_squares_overlap_where_they_do_in_either_view():
    places = torch.tensor([[[0.0, 0.0], [0.5, 0.0], [0.0, 0.5]], [[0.0, 0.0], [0.1, 0.1], [0.5, 0.1]]])[:, None]
    overlaps = [[True, True, False], [True, True, False], [False, False, True]]
    assert overlapping_regions(places, 0.3)[0].tolist() == overlaps
    assert overlapping_regions(places[:, :, :, [1, 0]], 0.3)[0].tolist() == overlaps


@pytest.mark.parametrize("network", [NETWORK, DeepLabV3(TinyResNet(width=4), rates=(1, 2), width=8)])
def test_regions_that_overlap_in_the_decoders_pixels_do_not_repel(network):
    built = network.build(1, 1)
    task = LocalContrastive(region=3).build(built.backbone, built.decoder, Policy(strength=0), toy_store(8, size=64))
    batch = Batch(torch.from_numpy(toy_store(8, size=64).images), None, torch.arange(8), BatchRNG(0, 8, 0, 8))
    overlaps = task._embed(batch)[3]
    stride = 1 if network is NETWORK else 8
    place = batch.draw.fork("regions").uniform(-0.95, 0.95, 16, 2) * 32  # in the image's pixels
    for image, a, b in np.ndindex(*overlaps.shape):
        apart = (place[image, a] - place[image, b]).abs().max().item()
        assert overlaps[image, a, b].item() == (apart < 3 * stride)


def by_hand(one, two, matched, overlaps, tau: float) -> float:
    """Region by region and image by image."""
    means = []
    for image in range(len(one)):
        views = [z / np.linalg.norm(z) for z in np.concatenate([one[image], two[image]])]
        count, lost = len(one[image]), []
        for i in range(2 * count):
            match = (i + count) % (2 * count)
            others = [
                j for j in range(2 * count) if matched[image, j % count] and not overlaps[image, i % count, j % count]
            ]
            if matched[image, i % count] and others:
                similar = [math.exp(views[i] @ views[j] / tau) for j in (match, *others)]
                lost.append(-math.log(similar[0] / sum(similar)))
        means.append(sum(lost) / len(lost) if lost else 0.0)
    return sum(means) / len(means)


@pytest.mark.parametrize("tau", [0.1, 0.5])
def test_the_loss_is_that_of_finding_the_match_among_the_other_regions(tau):
    one, two, matched, overlaps = some_regions()
    tensors = [torch.tensor(part) for part in (one, two, matched, overlaps)]
    assert region_contrast(*tensors, tau)[0].item() == pytest.approx(
        by_hand(one, two, matched, overlaps, tau), abs=1e-9
    )
    halves = [region_contrast(*(part[half] for part in tensors), tau)[0] for half in (slice(0, 2), slice(2, 4))]
    assert sum(halves).item() / 2 == pytest.approx(
        by_hand(one, two, matched, overlaps, tau), abs=1e-9
    )  # of two workers


def test_what_one_view_does_not_show_has_no_gradient():
    one, two, matched, _ = some_regions()
    views = torch.tensor(np.stack([one, two]), requires_grad=True)
    region_contrast(views[0], views[1], torch.tensor(matched), torch.eye(4).bool().expand(4, 4, 4), 0.5)[0].backward()
    shown = torch.tensor(matched & (matched.sum(1, keepdims=True) > 1))
    assert torch.equal((views.grad != 0).any(3), shown.expand(2, 4, 4))


def some_regions() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    one, two = np.random.default_rng(0).normal(size=(2, 4, 4, 3))
    matched = np.array([[1, 1, 1, 0], [1, 1, 1, 1], [0, 1, 0, 0], [0, 0, 0, 0]], dtype=bool)
    overlaps = np.tile(np.eye(4, dtype=bool), (4, 1, 1))
    overlaps[0, 0, 1] = overlaps[0, 1, 0] = True
    return one, two, matched, overlaps


def test_unrelated_regions_match_as_often_as_chance_says():
    generator = torch.Generator().manual_seed(0)
    one, two = torch.randn(2, 400, 5, 8, generator=generator)
    matched = torch.rand(400, 5, generator=generator) < 0.8
    itself = torch.eye(5).bool().expand(400, 5, 5)
    _, accuracy, chance = region_contrast(one, two, matched, itself, 0.1)
    assert chance.item() == pytest.approx(accuracy.item(), abs=0.03)
    full = torch.ones(400, 5, dtype=torch.bool)
    assert region_contrast(one, two, full, itself, 0.1)[2].item() == pytest.approx(1 / 9)


def test_an_image_without_matching_regions_does_not_count():
    one = torch.randn(1, 3, 4, requires_grad=True)
    nowhere, itself = torch.zeros(1, 3, dtype=torch.bool), torch.eye(3).bool()[None]
    loss, accuracy, chance = region_contrast(one, one.detach(), nowhere, itself, 0.1)
    assert (loss.item(), accuracy.item(), chance.item()) == (0.0, 0.0, 0.0)
    loss.backward()
    assert torch.isfinite(one.grad).all()


@pytest.mark.parametrize("network", [NETWORK, DeepLabV3(TinyResNet(width=4), rates=(1, 2), width=8)])
def test_two_stages_the_first_for_the_encoder_the_second_for_the_decoder_alone(network):
    store = toy_store(24, size=32)
    fit = FitSettings(2, 8, Adam(lr=3e-3), precision="float32")
    first = PretextSettings(GlobalContrastive(projection=8), fit, VIEWS, "all")
    encoder = pretrain(first, network, store, LocalRuntime(), seed=0).weights
    ends = [
        pretrain(
            PretextSettings(LocalContrastive(region=1), replace(fit, epochs=epochs), VIEWS, "all", first),
            network,
            store,
            LocalRuntime(),
            seed=0,
            start=encoder,
        ).weights
        for epochs in (1, 2)
    ]
    assert any("running_mean" in name for name in encoder)
    assert all(torch.equal(ends[1][name], value) for name, value in encoder.items())  # statistics too
    learnt = {name for name, value in ends[1].items() if not torch.equal(value, ends[0][name])}
    assert learnt == {name for name in ends[1] if name.startswith("decoder.")}


def test_the_loss_falls_and_regions_are_found_again():
    fit = FitSettings(25, 8, Adam(lr=3e-3), precision="float32")
    first = PretextSettings(GlobalContrastive(), fit, VIEWS)
    settings = PretextSettings(LocalContrastive(regions=6), fit, VIEWS, "all", first)
    history = pretrain(settings, NETWORK, toy_store(48, size=16), LocalRuntime(), seed=0).fitted.history
    assert sum(row["loss"] for row in history[-3:]) < 0.8 * sum(row["loss"] for row in history[:3])
    assert history[-1]["val/contrastive_accuracy"] > 1.2 * history[0]["val/contrastive_accuracy"]
    assert {"val/embedding_std", "val/effective_rank"} <= history[-1].keys()


def test_the_encoder_stays_in_evaluation_mode_however_training_is_switched_on():
    built = NETWORK.build(1, 1)
    task = LocalContrastive().build(built.backbone, built.decoder, VIEWS, toy_store(6, size=16))
    synchronise(task).train()
    assert task.training
    assert task.decoder.training
    assert not any(module.training for module in task.backbone.modules())
    trained = {id(p) for group in task.parameter_groups() for p in group["params"]}
    assert not trained & {id(p) for p in task.backbone.parameters()}


def test_a_batch_taken_in_parts_has_the_gradient_of_the_whole():
    built = UNet(UNetEncoder(width=4, depth=2, norm="instance")).build(1, 1)
    store = toy_store(8, size=16)
    task = LocalContrastive(regions=6).build(built.backbone, built.decoder, VIEWS, store).train()
    batch = Batch(torch.from_numpy(store.images), None, torch.arange(8), BatchRNG(0, 8, 0, 8))
    trained = [p for p in task.parameters() if p.requires_grad]
    loss = task.training_step(batch)["loss"]
    whole = torch.autograd.grad(loss, trained)
    losses = accumulate_gradients(task, split(batch, 3), lambda part: part.backward(), contextlib.nullcontext)
    torch.testing.assert_close(losses["loss"], loss.detach(), rtol=0, atol=1e-5)
    for parameter, gradient in zip(trained, whole, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=0, atol=1e-5)


def test_it_cannot_begin_without_an_earlier_stage():
    with pytest.raises(ValueError, match="init_from is missing: LocalContrastive needs an earlier pretext stage"):
        PretextSettings(LocalContrastive())
