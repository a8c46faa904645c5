import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trainables.registration import SIMILARITIES
from trainables.registration.similarity import GlobalNCC, LocalNCC


def images(seed: int, *shape: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).random(shape))


@given(st.integers(0, 2**32 - 1), st.integers(1, 2))
@settings(max_examples=25)
def test_global_ncc_is_each_pairs_own_correlation(seed, channels):
    fixed = images(seed, 4, channels, 11, 13) * torch.tensor([0.2, 1.0, 0.5, 0.1]).view(4, 1, 1, 1)
    fixed = fixed + torch.tensor([0.0, 0.0, 0.5, 0.9]).view(4, 1, 1, 1)
    moved = images(seed + 1, 4, channels, 11, 13) - 0.7 * fixed
    expected = [
        np.mean([np.corrcoef(f.ravel(), m.ravel())[0, 1] for f, m in zip(*pair, strict=True)])
        for pair in zip(fixed.numpy(), moved.numpy(), strict=True)
    ]
    np.testing.assert_allclose(GlobalNCC()(fixed, moved), expected, atol=1e-4)


def test_brightness_differences_within_the_batch_do_not_count():
    """Unlike noise in images of different brightness correlates over the batch as a whole, but not pair by pair."""
    levels = torch.linspace(0.1, 0.9, 8).view(-1, 1, 1, 1)
    fixed, moved = levels + 0.02 * images(0, 8, 1, 16, 16), levels + 0.02 * images(1, 8, 1, 16, 16)
    assert np.corrcoef(fixed.ravel(), moved.ravel())[0, 1] > 0.99
    assert GlobalNCC()(fixed, moved).abs().max() < 0.3
    whole = GlobalNCC()(fixed, moved)
    parts = torch.cat([GlobalNCC()(fixed[i : i + 1], moved[i : i + 1]) for i in range(8)])
    np.testing.assert_allclose(whole, parts, atol=1e-12)


@pytest.mark.parametrize("window", [3, 5])
def test_local_ncc_by_a_loop(window):
    fixed, moved = images(0, 2, 1, 9, 8), images(1, 2, 1, 9, 8)
    half = window // 2
    expected = []
    for f, m in zip(fixed[:, 0].numpy(), moved[:, 0].numpy(), strict=True):
        values = []
        for y in range(9):
            for x in range(8):
                patch = np.s_[max(y - half, 0) : y + half + 1, max(x - half, 0) : x + half + 1]
                values.append(np.corrcoef(f[patch].ravel(), m[patch].ravel())[0, 1])
        expected.append(np.mean(values))
    np.testing.assert_allclose(LocalNCC(window)(fixed, moved), expected, atol=1e-3)


def test_local_ncc_in_single_precision_is_that_of_double():
    """Half an ultrasound frame is nearly constant: there, variances lost in rounding would count as texture."""
    fixed, moved = (0.01 * images(seed, 1, 1, 128, 128) for seed in (0, 1))
    for image in (fixed, moved):
        image[..., 64:] += 0.9
    wide = LocalNCC(31)(fixed.float().double(), moved.float().double())
    torch.testing.assert_close(LocalNCC(31)(fixed.float(), moved.float()).double(), wide, atol=1e-6, rtol=0)


@pytest.mark.parametrize("similarity", [GlobalNCC(), LocalNCC()])
def test_signs_and_scales(similarity):
    image = images(3, 2, 1, 32, 32)
    np.testing.assert_allclose(similarity(image, 0.5 * image + 0.2), 1.0, atol=1e-3)
    np.testing.assert_allclose(similarity(image, 1 - image), -1.0, atol=1e-3)


@pytest.mark.parametrize("similarity", [GlobalNCC(), LocalNCC()])
@pytest.mark.parametrize("level", [0.0, 0.3, 1.0])
def test_constant_images_and_patches_give_zero_and_a_finite_gradient(similarity, level):
    constant = torch.full((2, 1, 32, 32), level)
    textured = images(5, 2, 1, 32, 32).float()
    textured[..., :16] = level
    for fixed, other in [(constant, textured), (textured, constant), (constant, constant)]:
        moved = other.clone().requires_grad_()
        value = similarity(fixed, moved)
        assert value.abs().max() < 1e-3
        value.sum().backward()
        assert moved.grad is not None
        assert moved.grad.isfinite().all()


def test_half_precision_is_widened():
    image = images(6, 1, 1, 64, 64)
    wide = GlobalNCC()(image, image * 0.9)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = GlobalNCC()(image.bfloat16(), image.bfloat16() * 0.9)
    assert half.dtype == torch.float32
    assert half.item() == pytest.approx(wide.item(), abs=1e-3)


def test_an_even_window_is_refused():
    with pytest.raises(ValueError, match="window is 4, expected an odd number"):
        LocalNCC(4)
    assert set(SIMILARITIES) == {"ncc", "local_ncc"}
