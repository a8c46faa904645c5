import numpy as np
import pytest
import torch
from toys import toy_store

from trainables.augment.policy import Policy
from trainables.networks import UNetEncoder
from trainables.pretext.barlow import BarlowTwins, barlow_loss

STORE = toy_store()


def test_the_loss_is_that_of_the_cross_correlation():
    rng = np.random.default_rng(2)
    one, two = 30 * rng.normal(size=(2, 7, 3))  # so large that what is added to the variances is below rounding
    expected = 0.0
    for j in range(3):
        for k in range(3):
            a, b = one[:, j] - one[:, j].mean(), two[:, k] - two[:, k].mean()
            c = (a * b).sum() / np.sqrt((a**2).sum() * (b**2).sum())  # the paper's equation 2
            expected += (1 - c) ** 2 if j == k else 0.01 * c**2
    one, two = torch.tensor(one), torch.tensor(two)
    assert barlow_loss(one, two, 0.01).item() == pytest.approx(expected, abs=1e-6)
    task = BarlowTwins(redundancy=0.01, projection=4).build(UNetEncoder(width=4, depth=2).build(1), Policy(), STORE)
    assert task.compare(one, two, torch.arange(7))["loss"].item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_dimension_that_does_not_vary_correlates_with_none(dtype):
    views = 30 * torch.randn(2, 8, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    rest = barlow_loss(*views, 0.01).item()
    still = torch.cat([views, torch.full((2, 8, 1), 0.3)], 2).to(dtype).requires_grad_()
    loss = barlow_loss(*still, 0.01)
    loss.backward()
    assert loss.item() == pytest.approx(rest + 1, abs=1e-4)
    assert still.grad.abs().max() < 1


@pytest.mark.parametrize("bad", [{"redundancy": -1}, {"projection": 1}])
def test_settings_out_of_range_are_refused(bad):
    with pytest.raises(ValueError, match="expected"):
        BarlowTwins(**bad)
