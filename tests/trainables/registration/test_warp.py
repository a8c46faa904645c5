import numpy as np
import pytest
import torch
from scipy import ndimage

from trainables.registration.bspline import BSpline
from trainables.registration.warp import compose, warp, warp_labels


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def smooth_field(size: tuple[int, int], scale: float, batch: int = 1, seed: int = 0) -> torch.Tensor:
    spline = BSpline(size, 16)
    return spline.displacement(scale * noise(batch, 2, *spline.control_size, seed=seed))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_identity_gives_the_image_back_bit_for_bit(dtype):
    images = noise(2, 3, 37, 53).to(dtype)
    still = torch.zeros(2, 2, 37, 53, dtype=dtype)
    assert torch.equal(warp(images, still), images)
    masks = torch.randint(0, 4, (2, 37, 53), dtype=torch.uint8)
    assert torch.equal(warp_labels(masks, still), masks)


def test_warping_is_that_of_scipy():
    images, field = noise(3, 2, 24, 31), smooth_field((24, 31), 6.0, batch=3)
    masks = torch.from_numpy(np.random.default_rng(0).integers(0, 4, (3, 24, 31)))
    moved, labels = warp(images, field), warp_labels(masks, field)
    for sample in range(3):
        y, x = np.mgrid[:24, :31] + field[sample].numpy()
        places = np.stack([y.clip(0, 23), x.clip(0, 30)])
        for channel in range(2):
            expected = ndimage.map_coordinates(images[sample, channel].numpy(), places, order=1)
            np.testing.assert_allclose(moved[sample, channel], expected, atol=1e-12)
        expected = ndimage.map_coordinates(masks[sample].numpy(), places, order=0)
        np.testing.assert_array_equal(labels[sample], expected)


def test_a_shift_by_whole_pixels_takes_the_border_along():
    image = torch.arange(12.0).view(1, 1, 3, 4)
    shift = torch.zeros(1, 2, 3, 4)
    shift[:, 1] = 1
    assert torch.equal(warp(image, shift), image[..., [1, 2, 3, 3]])
    shift[:, 0] = -1
    assert torch.equal(warp(image, shift), image[..., [0, 0, 1], :][..., [1, 2, 3, 3]])


def test_gradients_of_the_transform_are_right():
    spline = BSpline((8, 9), 4)
    images = noise(2, 1, 8, 9).requires_grad_()
    control = (0.4 * noise(2, 2, *spline.control_size, seed=3)).requires_grad_()
    assert torch.autograd.gradcheck(lambda c, i: warp(i, spline.displacement(c)), (control, images))


def test_composed_fields_warp_as_one_after_the_other():
    y, x = torch.meshgrid(torch.linspace(0, 3, 64), torch.linspace(0, 3, 64), indexing="ij")
    image = (torch.sin(y) + torch.cos(x)).double()[None, None]
    first, then = (smooth_field((64, 64), 1.5, seed=seed) for seed in (1, 2))
    inner = (..., slice(6, -6), slice(6, -6))
    np.testing.assert_allclose(
        warp(image, compose(first, then))[inner], warp(warp(image, first), then)[inner], atol=2e-3
    )
    still = torch.zeros_like(first)
    assert torch.equal(compose(first, still), first)
    assert torch.equal(compose(still, then), then)


def test_a_diverged_field_gives_no_number_instead_of_an_index_error():
    field = torch.full((1, 2, 4, 4), float("nan"))
    assert warp(torch.rand(1, 1, 4, 4), field).isnan().all()
