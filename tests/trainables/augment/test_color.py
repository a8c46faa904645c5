"""Color operations against torchvision's, and their refusal for images without colors."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats

from study.config.plain import plain
from study.config.settings import parse
from trainables.augment.batch_rng import BatchRNG
from trainables.augment.color import Color, luma, saturate, shift_hue
from trainables.augment.keep import Keep, kept
from trainables.augment.policies import POLICIES
from trainables.augment.policy import Policy
from trainables.augment.ultrasound import Haze
from trainables.common.errors import DataError
from trainables.data.records import GREY, RGB
from trainables.networks.torchvision_ops import torchvision


def rng(count: int, seed: int = 0) -> BatchRNG:
    return BatchRNG(seed, count, 0, count)


@pytest.fixture
def images() -> torch.Tensor:
    """Noise, then pixels that are gray, black, white, or at the border between two hues."""
    noise = torch.rand(5, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    levels = torch.cartesian_prod(*[torch.tensor([0.0, 0.3, 1.0])] * 3).T.view(3, 27, 1)
    noise[:, :, :, :1] = levels[:, :16]
    noise[:, :, :11, 1:2] = levels[:, 16:]
    return noise


@pytest.mark.parametrize("factor", [0.0, 0.4, 1.0, 1.8])
def test_saturation_is_torchvisions(images, factor):
    expected = torchvision().transforms.functional.adjust_saturation(images, factor)
    torch.testing.assert_close(saturate(images, torch.full((5,), factor)), expected, rtol=0, atol=3e-4)


@pytest.mark.parametrize("shift", [-0.5, -0.2, 0.0, 0.07, 0.5])
def test_hue_is_torchvisions(images, shift):
    expected = torchvision().transforms.functional.adjust_hue(images, shift)
    torch.testing.assert_close(shift_hue(images, torch.full((5,), shift)), expected, rtol=0, atol=2e-5)


def test_greyscale_is_torchvisions_and_has_three_equal_channels(images):
    expected = torchvision().transforms.functional.rgb_to_grayscale(images, 3)
    torch.testing.assert_close(Color(p=0, grey=1)(images, rng(5), 1.0), expected, rtol=0, atol=2e-4)
    torch.testing.assert_close(luma(images), expected[:, :1], rtol=0, atol=2e-4)


def test_each_image_has_its_own_factors_of_torchvisions_distribution():
    pixel = torch.tensor([0.6, 0.5, 0.4]).view(1, 3, 1, 1).expand(4000, 3, 1, 1)
    torch.manual_seed(0)
    theirs = torchvision().transforms.ColorJitter(saturation=0.4, hue=0.1)
    drawn = [theirs.get_params(None, None, theirs.saturation, theirs.hue)[3:] for _ in range(4000)]
    saturated = Color(saturation=0.4, hue=0, p=1, grey=0)(pixel, rng(4000), 1.0)
    factors = (saturated[:, 0] - saturated[:, 2]).flatten() / 0.2
    assert stats.ks_2samp(factors.numpy(), [float(s) for s, _ in drawn]).pvalue > 1e-3
    moved = Color(saturation=0, hue=0.1, p=1, grey=0)(pixel, rng(4000), 1.0)
    shifts = (moved[:, 1] - moved[:, 2]).flatten() / 0.2 / 6  # from orange: half a sector of its own between two edges
    within = shifts[(shifts > 0.01) & (shifts < 0.15)] - 1 / 12
    shown = np.array([float(h) for _, h in drawn])
    shown = shown[(shown > 0.01 - 1 / 12) & (shown < 0.15 - 1 / 12)]
    assert stats.ks_2samp(within.numpy(), shown).pvalue > 1e-3


def test_probabilities_and_strength():
    red = torch.tensor([0.8, 0.1, 0.1]).view(1, 3, 1, 1).expand(4000, 3, 1, 1)
    gray = Color(p=0, grey=0.2)(red, rng(4000), 1.0)
    assert stats.binomtest(int((gray[:, 0] == gray[:, 1]).sum()), 4000, 0.2).pvalue > 1e-3
    half = Color(p=0, grey=0.2)(red, rng(4000), 0.5)
    assert stats.binomtest(int((half[:, 0] == half[:, 1]).sum()), 4000, 0.1).pvalue > 1e-3
    changed = Color(hue=0, p=0.3, grey=0)(red, rng(4000), 0.5)
    factors = (changed[:, 0] - changed[:, 1]).flatten() / 0.7
    assert stats.binomtest(int((factors != factors.mode().values).sum()), 4000, 0.3).pvalue > 1e-3
    assert factors.min() >= 0.6 - 1e-5
    assert factors.max() <= 1.4 + 1e-5


@pytest.mark.parametrize("as_bytes", [True, False], ids=["uint8", "float"])
def test_colors_leave_the_random_numbers_of_other_operations_unchanged(images, as_bytes):
    given = (images * 255).to(torch.uint8) if as_bytes else images
    policy = Policy(color=Color(p=0, grey=0))
    expected = Policy().apply(given, None, rng(5))[0]
    torch.testing.assert_close(policy.apply(given, None, rng(5))[0], expected, rtol=0, atol=5e-3 if as_bytes else 0)
    vivid = replace(policy, color=Color()).apply(given, None, rng(5))[0]
    assert not torch.allclose(vivid, expected, atol=0.02)
    assert vivid.min() >= 0
    assert vivid.max() <= 1 + 1e-5


def test_colors_are_off_by_default_and_leave_no_trace_in_settings():
    for policy in POLICIES.values():
        assert policy.color is None
        assert "color" not in plain(policy)
    vivid = Policy(color=Color(hue=0.1))
    assert plain(vivid)["color"] == {"saturation": 0.8, "hue": 0.1, "p": 0.8, "grey": 0.2}
    assert parse(Policy, plain(vivid)) == vivid


def test_colors_are_refused_for_images_that_have_none():
    Policy(color=Color()).require_channels(RGB, "pretext.augment")
    for policy in POLICIES.values():
        policy.require_channels(GREY, "pretext.augment")
    text = r"^pretext\.augment\.color: needs images in colour \(found the channels T2, ADC, expected red, green, blue\)"
    with pytest.raises(DataError, match=text):
        Policy(color=Color(), strength="auto").require_channels(("T2", "ADC"), "pretext.augment")


@pytest.mark.parametrize("wrong", [{"saturation": -1}, {"hue": 0.6}, {"p": 2}, {"grey": -0.1}])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Color(**wrong)


def test_a_budget_counts_structure_and_not_the_color_that_all_pixels_share():
    structure = torch.rand(1, 1, 32, 32, generator=torch.Generator().manual_seed(0)) * 0.1
    image = structure + torch.tensor([0.8, 0.4, 0.3]).view(1, 3, 1, 1)
    flat = (image - image.mean((2, 3), keepdim=True)) * 0.2 + image.mean((2, 3), keepdim=True)
    assert kept(flat, image)[0].item() == pytest.approx(0.2, rel=1e-3)
    assert kept(Keep(spread=0.6, edges=0).apply(flat, image), image)[0].item() >= 0.6
    grey = image[:, :1]
    expected = (grey * 0.3).std((1, 2, 3), correction=0) / grey.std((1, 2, 3), correction=0)
    torch.testing.assert_close(kept(grey * 0.3, grey)[0], expected, rtol=0, atol=0)


def test_haze_has_no_color():
    image = torch.zeros(1, 3, 24, 24)
    image[:, 0, :12] = 0.5
    added = Haze(p=1)(image, rng(1), 1.0) - image
    torch.testing.assert_close(added[:, 0], added[:, 2])
    assert added[:, :, :12].max() > 0
    assert not added[:, :, 12:].any()
