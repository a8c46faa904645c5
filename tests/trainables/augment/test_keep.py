"""Budget of a view: spread, edges and sector."""

import numpy as np
import pytest
import torch
from scipy.ndimage import uniform_filter

from trainables.augment.batch_rng import BatchRNG
from trainables.augment.intensity import Gamma, Jitter, Noise, Solarise
from trainables.augment.keep import Keep, kept, kept_by_blends, sector_mask
from trainables.augment.policy import Policy
from trainables.augment.ultrasound import Gain, Haze, Speckle


@pytest.fixture(scope="module")
def sectors() -> torch.Tensor:
    """Images of a sector with a dark cavity, uint8 `(32, 1, 64, 64)`."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:64, :64]
    inside = (np.abs(x - 32) < 0.6 * y + 2) & (np.hypot(x - 32, y) < 60)
    cavity = np.hypot(x - 32, (y - 36) / 1.5) < 8
    texture = uniform_filter(rng.uniform(20, 255, (32, 64, 64)), (0, 3, 3))
    images = np.where(inside, np.where(cavity, 0, texture), 0)
    return torch.from_numpy(images.astype(np.uint8))[:, None]


WILD = Policy(
    crop=None,
    flip=None,
    blur=None,
    jitter=Jitter(0.9, 0.9, 1.0),
    gamma=Gamma((0.2, 5.0), 0.7),
    gain=Gain(0.9, 0.7),
    speckle=Speckle(2.0, p=0.4),
    solarise=Solarise(0.3),
    haze=Haze(1.0, 0.5),
    noise=Noise(0.5, 0.4),
)


def views_of(policy, images, seed=0):
    return policy.apply(images, None, BatchRNG(seed, len(images), 0, len(images)))[0]


@pytest.mark.parametrize("as_float", [False, True], ids=["uint8", "float"])
def test_every_view_is_within_the_budget_and_views_within_it_are_unchanged(sectors, as_float):
    images = sectors.float() / 255
    given = images if as_float else sectors
    wild, budgeted = views_of(WILD, given), views_of(Policy(**{**vars(WILD), "keep": Keep(0.6, 0.7)}), given)
    before, after = kept(wild, images), kept(budgeted, images)
    assert (before[0] < 0.6).any()
    assert (before[1] < 0.7).any()
    assert after[0].min() >= 0.6
    assert after[1].min() >= 0.7
    fine = (before[0] >= 0.6) & (before[1] >= 0.7)
    assert fine.any()
    assert torch.equal(budgeted[fine], wild[fine])


def test_shares_are_those_of_numpy(sectors):
    images = sectors.float() / 255
    views = views_of(WILD, images)
    spread, edges = kept(views, images)
    for n in range(len(images)):
        image, view = (each[n, 0].double().numpy() for each in (images, views))
        assert spread[n].item() == pytest.approx(view.std() / image.std(), rel=1e-4)
        coarse = [each.reshape(32, 2, 32, 2).mean((1, 3)) for each in (image, view)]
        one, two = (np.concatenate([np.diff(each, axis=axis).ravel() for axis in (0, 1)]) for each in coarse)
        assert edges[n].item() == pytest.approx(one @ two / np.sqrt(one @ one * (two @ two)), abs=1e-4)


def test_nothing_is_drawn_outside_the_sector_and_cavities_belong_to_it(sectors):
    mask = sector_mask(sectors)[0, 0]
    assert mask[36, 32]  # the cavity
    assert not mask[5, 5]
    outside = ~mask
    assert views_of(WILD, sectors)[:, 0, outside].any()
    assert not views_of(Policy(**{**vars(WILD), "keep": Keep(0, 0, sector=True)}), sectors)[:, 0, outside].any()


def test_a_black_image_stays_finite_and_uses_no_budget():
    black = torch.zeros(2, 1, 32, 32)
    found = Keep(0.5, 0.5, sector=True).apply(torch.rand(2, 1, 32, 32), black)
    assert torch.equal(found, black)


@pytest.mark.parametrize("bad", [{"spread": 1.1}, {"edges": -0.1}])
def test_shares_out_of_range_are_refused(bad):
    with pytest.raises(ValueError, match="expected shares in"):
        Keep(**bad)


def test_shares_of_blends_are_those_of_the_rendered_blends(sectors):
    images, blends = sectors.float() / 255, (1.0, 0.7, 0.3, 0.0)
    views = views_of(WILD, images)
    spread, edges = kept_by_blends(views, images, blends)
    for place, blend in enumerate(blends):
        rendered = kept(images.lerp(views, blend), images)
        torch.testing.assert_close(spread[place], rendered[0], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(edges[place], rendered[1], rtol=1e-4, atol=1e-4)
