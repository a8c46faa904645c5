import math

import numpy as np
import pytest
import torch
from toys import toy_store

from trainables.augment.policy import Policy
from trainables.networks import UNetEncoder
from trainables.pretext.vicreg import VICReg, vicreg_terms


def test_the_terms_are_those_of_the_paper():
    rng = np.random.default_rng(1)
    one, two = rng.normal(size=(6, 4)), 0.3 * rng.normal(size=(6, 4))
    n, d = one.shape
    invariance = sum(float(((a - b) ** 2).sum()) for a, b in zip(one, two, strict=True)) / (n * d)
    variance = covariance = 0.0
    for view in (one, two):
        mean = view.mean(axis=0)
        for j in range(d):
            spread = sum((view[i, j] - mean[j]) ** 2 for i in range(n)) / (n - 1)
            variance += max(0.0, 1 - math.sqrt(spread + 1e-4)) / d / 2
            for k in range(d):
                if j != k:
                    mixed = sum((view[i, j] - mean[j]) * (view[i, k] - mean[k]) for i in range(n)) / (n - 1)
                    covariance += mixed**2 / d
    terms = vicreg_terms(torch.tensor(one), torch.tensor(two))
    assert terms["invariance"].item() == pytest.approx(invariance, abs=1e-9)
    assert terms["variance"].item() == pytest.approx(variance, abs=1e-9)
    assert terms["covariance"].item() == pytest.approx(covariance, abs=1e-9)
    settings = VICReg(invariance=3, variance=5, covariance=7, projection=4)
    task = settings.build(UNetEncoder(width=4, depth=2).build(1), Policy(), toy_store())
    losses = task.compare(torch.tensor(one), torch.tensor(two), torch.arange(n))
    assert losses["loss"].item() == pytest.approx(3 * invariance + 5 * variance + 7 * covariance, abs=1e-9)


@pytest.mark.parametrize("bad", [{"variance": -1}, {"projection": 1}])
def test_settings_out_of_range_are_refused(bad):
    with pytest.raises(ValueError, match="expected"):
        VICReg(**bad)
