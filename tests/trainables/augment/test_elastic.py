import numpy as np
import pytest
import torch
from scipy import ndimage
from torch.nn import functional as F

from trainables.augment.batch_rng import BatchRNG
from trainables.augment.geometry import Elastic, bicubic
from trainables.augment.policy import Policy


def test_image_and_mask_move_alike_and_smoothly():
    images = torch.rand(3, 1, 40, 40, generator=torch.Generator().manual_seed(0))
    images = F.avg_pool2d(images, 5, 1, 2)
    masks = (torch.arange(40)[None, :, None] > 19).expand(3, 40, 40).to(torch.uint8)
    policy = Policy(crop=None, flip=None, jitter=None, blur=None, elastic=Elastic(0.05, 5))
    rng = BatchRNG(4, 3, 0, 3)
    moved, labels = policy.apply(images, masks, rng)
    field = Elastic(0.05, 5).displacement(rng.fork("elastic"), 1.0, (40, 40)).numpy()
    assert 0.02 < np.abs(field / 2).mean() < 0.06
    assert np.abs(np.diff(field, axis=2)).max() < 0.1
    for sample in range(3):
        rows, columns = np.indices((40, 40)) + field[sample, ::-1] * 20
        expected = ndimage.map_coordinates(images[sample, 0].numpy(), [rows, columns], order=1, mode="grid-constant")
        np.testing.assert_allclose(moved[sample, 0].numpy(), expected, atol=1e-4)
        nearest = ndimage.map_coordinates(masks[sample].numpy(), [rows, columns], order=0, mode="grid-constant")
        assert (labels[sample].numpy() == nearest).mean() > 0.99


def test_a_shard_is_moved_as_in_the_whole_batch():
    images = torch.rand(3, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    policy = Policy(crop=None, flip=None, jitter=None, blur=None, elastic=Elastic())
    whole, _ = policy.apply(images, None, BatchRNG(4, 3, 0, 3))
    half, _ = policy.apply(images[1:], None, BatchRNG(4, 3, 1, 2))
    assert torch.equal(half, whole[1:])


@pytest.mark.parametrize("bad", [{"amplitude": -0.1}, {"amplitude": 0.5}, {"knots": 3}])
def test_settings_out_of_range_are_refused(bad):
    with pytest.raises(ValueError, match="expected in"):
        Elastic(**bad)


@pytest.mark.parametrize("align_corners", [True, False])
def test_knots_are_joined_as_torch_joins_them(align_corners):
    knots = torch.randn(2, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    expected = F.interpolate(knots, (31, 40), mode="bicubic", align_corners=align_corners)
    torch.testing.assert_close(bicubic(knots, (31, 40), align_corners=align_corners), expected)
