import numpy as np
import pytest
import torch

from trainables.pretext.barlow import BarlowTwins, barlow_loss


def test_the_loss_is_that_of_the_cross_correlation():
    rng = np.random.default_rng(2)
    one, two = rng.normal(size=(7, 3)), rng.normal(size=(7, 3))
    expected = 0.0
    for j in range(3):
        for k in range(3):
            a, b = one[:, j] - one[:, j].mean(), two[:, k] - two[:, k].mean()
            c = (a * b).sum() / np.sqrt((a**2).sum() * (b**2).sum())  # the paper's equation 2
            expected += (1 - c) ** 2 if j == k else 0.01 * c**2
    assert barlow_loss(torch.tensor(one), torch.tensor(two), 0.01).item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("bad", [{"redundancy": -1}, {"projection": 1}])
def test_settings_out_of_range_are_refused(bad):
    with pytest.raises(ValueError, match="expected"):
        BarlowTwins(**bad)
