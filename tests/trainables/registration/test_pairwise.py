import numpy as np
import pytest
import torch

from trainables.metrics.overlap import dice
from trainables.registration.cascade import determinant, folded_fraction
from trainables.registration.pairwise import Pairwise
from trainables.registration.similarity import LocalNCC
from trainables.registration.warp import warp, warp_labels


@pytest.mark.parametrize("similarity", [None, LocalNCC(9)])
def test_a_shift_is_recovered(shifting, similarity):
    images = torch.from_numpy(shifting.frames).float() / 255
    masks = torch.from_numpy(shifting.masks).long()
    fixed, moving = images[3:4], images[:1]
    settings = Pairwise(grid_spacing=16, stages=2, steps=40, **({"similarity": similarity} if similarity else {}))
    steps = settings.register(fixed, moving)
    inside = shifting.masks[3] == 1
    found = steps[-1].displacement[0].numpy()[:, inside].mean(1)
    np.testing.assert_allclose(found, [-4.5, -6.0], atol=0.5)
    moved = warp(moving, steps[-1].displacement)
    assert settings.similarity(fixed, moved).item() > settings.similarity(fixed, moving).item() + 0.2
    before, after = dice(masks[:1], masks[3:4], 3), dice(warp_labels(masks[:1], steps[-1].displacement), masks[3:4], 3)
    assert (after > before + 0.1).all()
    assert after[0, 0] > 0.9
    assert folded_fraction(steps).item() == 0


def test_pairs_of_a_batch_do_not_touch_each_other(shifting):
    images = torch.from_numpy(shifting.frames).float() / 255
    settings = Pairwise(grid_spacing=32, stages=1, steps=5)
    together = settings.displacement(images[[1, 3]], images[[0, 0]])
    torch.testing.assert_close(together[1:], settings.displacement(images[3:4], images[:1]), atol=1e-3, rtol=0)


def test_the_determinant_of_stages_is_that_of_their_composition():
    generator = torch.Generator().manual_seed(0)
    settings = Pairwise(grid_spacing=16, stages=2, steps=12)
    base = torch.rand(1, 1, 8, 8, generator=generator)
    fixed = torch.nn.functional.interpolate(base, (64, 64), mode="bicubic").double()
    steps = settings.register(fixed, fixed.roll((2, 3), (2, 3)))
    field = steps[-1].displacement[0].numpy()
    down, across = np.gradient(field, axis=1), np.gradient(field, axis=2)
    expected = (1 + down[0]) * (1 + across[1]) - across[0] * down[1]
    inner = np.s_[8:-8, 8:-8]
    np.testing.assert_allclose(determinant(steps)[0].numpy()[inner], expected[inner], atol=0.02)


def test_settings_out_of_range_are_refused():
    with pytest.raises(ValueError, match="stages 0"):
        Pairwise(stages=0)
    with pytest.raises(ValueError, match=r"alpha -1"):
        Pairwise(alpha=-1)
