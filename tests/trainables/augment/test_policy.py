"""Augmentation: distributions against torchvision's, geometry against scipy's, and independence of everything else."""

import math
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from scipy import ndimage, stats

from trainables.augment.batch_rng import BatchRNG
from trainables.augment.geometry import Crop, Elastic, Flip, Rotate, Scale, Translate, affine_maps, resample
from trainables.augment.intensity import Blur, Gamma, Jitter, Noise, Solarise, gaussian_blur
from trainables.augment.policy import Policy
from trainables.augment.ultrasound import Attenuation, Compression, Gain, Haze, Shadow, Speckle
from trainables.networks.torchvision_ops import torchvision

EVERYTHING = Policy(
    crop=Crop(),
    flip=Flip(),
    rotate=Rotate(),
    translate=Translate(),
    elastic=Elastic(),
    scale=Scale(),
    jitter=Jitter(),
    gamma=Gamma(),
    solarise=Solarise(p=0.5),
    blur=Blur(),
    speckle=Speckle(),
    attenuation=Attenuation(),
    gain=Gain(),
    shadow=Shadow(),
    haze=Haze(),
    compression=Compression(),
    noise=Noise(),
)
OTHERS = ("strength", "size", "keep", "color", "added")
OPERATIONS = [field.name for field in fields(Policy) if field.name not in OTHERS]
NOTHING = Policy(**dict.fromkeys(OPERATIONS))


def rng(count: int = 6, seed: int = 0) -> BatchRNG:
    return BatchRNG(seed, count, 0, count)


def pictures(count: int = 6, size: int = 24) -> torch.Tensor:
    return torch.rand(count, 1, size, size, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("size", [112, 1000])
def test_crops_are_torchvisions_boxes(size):
    crop = Crop((0.2, 1.0), (3 / 4, 4 / 3))
    left, top, width, height = crop.boxes(rng(4000), 1.0, (size, size)).numpy().T
    torch.manual_seed(0)
    get = torchvision().transforms.RandomResizedCrop.get_params
    boxes = np.array([get(torch.zeros(1, size, size), crop.area, crop.aspect) for _ in range(4000)], float)
    assert stats.ks_2samp(width * height, boxes[:, 2] * boxes[:, 3]).pvalue > 1e-3
    assert stats.ks_2samp(width / height, boxes[:, 3] / boxes[:, 2]).pvalue > 1e-3
    assert stats.ks_2samp(left, boxes[:, 1]).pvalue > 1e-3
    assert stats.ks_2samp(top, boxes[:, 0]).pvalue > 1e-3
    assert min(left.min(), top.min()) >= 0
    assert max((left + width).max(), (top + height).max()) <= size


@pytest.mark.parametrize("width", [0.4, 0.8, 1.2])
def test_jitter_has_torchvisions_factors(width):
    dark = torch.full((4000, 1, 2, 2), 0.25)
    spread = dark + torch.tensor([[-0.1, 0.1], [0.1, -0.1]])
    brightness = Jitter(brightness=width, contrast=0, p=1)(dark, rng(4000), 1.0)[:, 0, 0, 0] / 0.25
    contrast = (Jitter(brightness=0, contrast=width, p=1)(spread, rng(4000), 1.0)[:, 0, 0, 1] - 0.25) / 0.1
    torch.manual_seed(0)
    theirs = torchvision().transforms.ColorJitter(brightness=width, contrast=width)
    drawn = [theirs.get_params(theirs.brightness, theirs.contrast, None, None)[1:3] for _ in range(4000)]
    assert stats.ks_2samp(brightness.numpy(), [float(b) for b, _ in drawn]).pvalue > 1e-3
    assert stats.ks_2samp(contrast.numpy(), [float(c) for _, c in drawn]).pvalue > 1e-3


def test_blur_has_torchvisions_sigmas():
    ours = Blur((0.1, 2.0), p=0.5).sigmas(rng(4000), 1.0)
    torch.manual_seed(0)
    theirs = torchvision().transforms.GaussianBlur(3, (0.1, 2.0))
    sigmas = [float(theirs.get_params(0.1, 2.0)) for _ in range(4000)]
    assert stats.ks_2samp(ours[ours > 0].numpy(), sigmas).pvalue > 1e-3
    assert stats.binomtest(int((ours > 0).sum()), 4000, 0.5).pvalue > 1e-3


@pytest.mark.parametrize("sigma", [0.5, 1.0, 2.0])
def test_blur_is_torchvisions(sigma):
    images = pictures(2, 60)
    expected = torchvision().transforms.functional.gaussian_blur(images, [7, 7], [sigma, sigma])
    torch.testing.assert_close(gaussian_blur(images, torch.full((2,), sigma)), expected, rtol=1e-4, atol=1e-5)


def test_a_map_moves_the_image_as_scipy_does():
    affine = {"crop": Crop(), "scale": Scale(), "rotate": Rotate(30), "translate": Translate(0.1), "flip": Flip(1.0)}
    images, size = pictures(4, 32), 32
    maps = affine_maps(affine, rng(4), 1.0, (size, size))
    moved, _ = resample(images, None, maps, (size, size))
    for image, out, m in zip(images[:, 0].numpy(), moved[:, 0].numpy(), maps.double().numpy(), strict=True):
        to_unit = lambda i: (i + 0.5) * 2 / size - 1  # noqa: E731
        rows, columns = np.mgrid[:size, :size]
        x, y = to_unit(columns), to_unit(rows)
        source_x, source_y = (m[i, 0] * x + m[i, 1] * y + m[i, 2] for i in (0, 1))
        places = [((s + 1) * size / 2 - 0.5) for s in (source_y, source_x)]
        expected = ndimage.map_coordinates(np.pad(image, 1), [p + 1 for p in places], order=1, mode="constant")
        np.testing.assert_allclose(out, expected, atol=1e-4)


def test_masks_move_with_their_images():
    images = torch.zeros(8, 1, 48, 48)
    images[:, :, 12:30, 16:40] = 1.0
    masks = images[:, 0].to(torch.uint8)
    policy = replace(
        NOTHING, rotate=Rotate(40), scale=Scale(), translate=Translate(0.2), flip=Flip(), crop=Crop((0.5, 1.0))
    )
    moved, labels = policy.apply(images, masks, rng(8))
    assert labels is not None
    agree = ((moved[:, 0] > 0.5) == (labels == 1)).float().mean()
    assert float(agree) > 0.99
    assert not torch.equal(labels, masks)


def test_strength_zero_and_no_operation_change_nothing():
    images = pictures()
    for policy in (replace(EVERYTHING, strength=0.0), NOTHING):
        same, _ = policy.apply(images, None, rng())
        torch.testing.assert_close(same, images)
    halves = (pictures() * 255).to(torch.uint8)
    torch.testing.assert_close(NOTHING.apply(halves, None, rng())[0], halves.float() / 255)


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_does_something_within_bounds_and_disturbs_no_other(name):
    alone = replace(NOTHING, **{name: getattr(EVERYTHING, name)})
    images = pictures(64)
    changed, _ = alone.apply(images, None, rng(64))
    assert changed.shape == images.shape
    assert not torch.equal(changed, images)
    assert changed.min() >= 0
    assert changed.max() <= 1 + 1e-5
    without = replace(EVERYTHING, **{name: None})
    assert set(without.active()) == set(OPERATIONS) - {name}
    other = "gamma" if name != "gamma" else "jitter"
    one = getattr(EVERYTHING, other)(images, rng(64).fork(other), 1.0)
    two = replace(alone, **{name: None, other: getattr(EVERYTHING, other)}).apply(images, None, rng(64))[0]
    torch.testing.assert_close(one, two)


def test_parameters_do_not_depend_on_the_number_of_workers():
    images = pictures(8)
    policy = replace(EVERYTHING, speckle=None, haze=None, noise=None)  # pixel noise is drawn by each worker for itself
    whole, _ = policy.apply(images, None, rng(8))
    parts = [policy.apply(images[i : i + 4], None, BatchRNG(0, 8, i, 4))[0] for i in (0, 4)]
    torch.testing.assert_close(torch.cat(parts), whole)


def test_ultrasound_operations_do_what_they_say():
    images = torch.full((200, 1, 40, 40), 0.5)
    deep = Attenuation(rate=2.0, p=1)(images, rng(200), 1.0)
    assert (deep[:, 0, 0] == 0.5).all()
    assert (deep.diff(dim=2) <= 0).all()
    assert float(deep[:, 0, -1].min()) >= 0.5 * math.exp(-2) - 1e-6
    ringing = Speckle(sigma=0.2, grain=4, p=1)(images, rng(200), 1.0) / 0.5 - 1
    spread = ringing.flatten(1).std(1)
    assert stats.kstest(spread.numpy() / 0.2, "uniform").pvalue > 1e-3
    neighbours = (ringing[..., 1:] * ringing[..., :-1]).mean() / ringing.square().mean()
    assert float(neighbours) > 0.6
    shown = Compression(decibels=(30.0, 30.0), p=1)(torch.tensor([[[[0.0, 0.5, 0.75, 1.0]]]]), rng(1), 1.0)
    torch.testing.assert_close(shown.flatten(), torch.tensor([0.0, 0.0, 0.5, 1.0]))
