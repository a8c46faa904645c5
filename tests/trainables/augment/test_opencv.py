"""OpenCV for uint8 images against torch for floats, which other tests compare with scipy and torchvision."""

from dataclasses import fields, replace

import pytest
import torch
from torch.nn import functional as F

from trainables.augment.batch_rng import BatchRNG
from trainables.augment.geometry import Crop, Elastic, Flip, Rotate, Scale, Translate
from trainables.augment.intensity import Blur, Gamma, Jitter, Noise, Solarise
from trainables.augment.policy import Policy
from trainables.augment.ultrasound import Compression

NOTHING = Policy(**{field.name: None for field in fields(Policy) if field.name not in ("strength", "size", "added")})
MOVES = {
    "crop": replace(NOTHING, crop=Crop((0.2, 0.9))),
    "crop and flip": replace(NOTHING, crop=Crop((0.2, 0.9)), flip=Flip()),
    "flip": replace(NOTHING, flip=Flip(1.0)),
    "turn": replace(NOTHING, rotate=Rotate(40)),
    "all": replace(NOTHING, crop=Crop(), flip=Flip(), rotate=Rotate(20), translate=Translate(0.1), scale=Scale()),
    "bend": replace(NOTHING, crop=Crop(), elastic=Elastic()),
    "resize": NOTHING,
}
LEVEL = 1 / 255


def rng(count: int) -> BatchRNG:
    return BatchRNG(3, count, 0, count)


def smooth(count: int, channels: int = 1, size: int = 48) -> torch.Tensor:
    """Return uint8 images without edges, which change by a few gray levels per half pixel."""
    coarse = torch.rand(count, channels, 6, 6, generator=torch.Generator().manual_seed(1))
    shown = F.interpolate(coarse, (size, size), mode="bicubic", align_corners=True)
    return (shown.clamp(0, 1) * 255).round().to(torch.uint8)


def both(policy: Policy, images: torch.Tensor, masks: torch.Tensor | None = None):
    """Return the results of OpenCV and of torch for equal inputs."""
    return policy.apply(images, masks, rng(len(images))), policy.apply(images / 255, masks, rng(len(images)))


@pytest.mark.parametrize("size", [None, 34, 64])
@pytest.mark.parametrize("name", MOVES)
def test_images_move_alike(name, size):
    """Compare without the rim of a crop, where torch reads pixels outside the crop."""
    (ours, _), (expected, _) = both(replace(MOVES[name], size=size), smooth(16, channels=2))
    side = size or 48
    assert ours.shape == expected.shape == (16, 2, side, side)
    rim = 4
    away = (ours - expected)[..., rim:-rim, rim:-rim].abs()
    assert away.max() < 2 * LEVEL
    assert away.mean() < 0.5 * LEVEL


@pytest.mark.parametrize("size", [None, 34, 64])
@pytest.mark.parametrize("name", MOVES)
def test_masks_move_alike(name, size):
    masks = (smooth(16)[:, 0] // 90).to(torch.uint8)
    (_, ours), (_, expected) = both(replace(MOVES[name], size=size), smooth(16), masks)
    assert ours is not None
    assert expected is not None
    assert ours.dtype == masks.dtype
    # Ties between equally near pixels may be resolved differently.
    assert (ours != expected).float().mean() < 0.01


@pytest.mark.parametrize(
    "operation",
    [
        Jitter(p=1),
        Jitter(0.8, 0.8, 0.5),
        Gamma(p=1),
        Solarise(p=0.5),
        Blur(p=1),
        Blur((2.0, 9.0)),
        Noise(),
        Compression(),
    ],
    ids=str,
)
def test_grey_values_change_alike(operation):
    """Compare to much less than a gray level, as nothing is rounded in between, with two channels."""
    policy = replace(NOTHING, **{type(operation).__name__.lower(): operation})
    (ours, _), (expected, _) = both(policy, smooth(16, channels=2))
    torch.testing.assert_close(ours, expected, rtol=0, atol=0.05 * LEVEL)


def test_simclrs_policy_is_the_same_both_ways():
    policy = Policy()
    (ours, _), (expected, _) = both(policy, smooth(64))
    away = (ours - expected)[..., 6:-6, 6:-6].abs()
    assert away.mean() < LEVEL  # rounding, times brightness and contrast


def test_threads_change_nothing():
    policy, images = replace(MOVES["all"], jitter=Jitter(), blur=Blur()), smooth(7)
    before = torch.get_num_threads()
    try:
        found = []
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found.append(policy.apply(images, images[:, 0], rng(7)))
    finally:
        torch.set_num_threads(before)
    for images, masks in found[1:]:
        assert torch.equal(images, found[0][0])
        assert torch.equal(masks, found[0][1])


def test_a_view_smaller_than_a_few_pixels_is_refused():
    with pytest.raises(ValueError, match="expected at least 16 pixels"):
        Policy(size=8)
