import math

import pytest
import torch

from trainables.pretext.momentum import follow, momentum


@pytest.mark.parametrize("start", [0.0, 0.97, 0.996])
def test_the_momentum_rises_to_one_by_a_cosine(start):
    for k, steps in ((0, 100), (25, 100), (100, 100)):
        expected = 1 - (1 - start) * (math.cos(math.pi * k / steps) + 1) / 2
        assert momentum(start, k / steps) == pytest.approx(expected, abs=1e-12)
    assert momentum(start, 0) == pytest.approx(start)
    assert momentum(start, 1) == 1


def test_following_is_the_moving_average_of_every_parameter():
    torch.manual_seed(0)
    target, online = torch.nn.Linear(3, 2).double(), torch.nn.Linear(3, 2).double()
    expected = [0.9 * t + 0.1 * o for t, o in zip(target.parameters(), online.parameters(), strict=True)]
    follow(target, online, 0.9)
    for found, wanted in zip(target.parameters(), expected, strict=True):
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-12)
