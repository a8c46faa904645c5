"""LARS and the schedules against their formulas."""

import math

import pytest
import torch
from torch import nn

from trainables.engine.optim import OPTIMIZERS, SCHEDULES
from trainables.engine.optim.optimizers import Lars
from trainables.engine.optim.schedules import Constant, Cosine, Plateau


def test_lars_takes_the_papers_step_and_leaves_biases_to_plain_momentum():
    torch.manual_seed(0)
    layer = nn.Linear(4, 3).double()
    weight, bias = layer.weight.detach().clone(), layer.bias.detach().clone()
    optimizer = Lars(lr=0.5, weight_decay=0.1, momentum=0.9, trust=0.01).build([{"params": list(layer.parameters())}])
    velocity_w, velocity_b = torch.zeros_like(weight), torch.zeros_like(bias)
    for _ in range(3):
        optimizer.zero_grad()
        layer(torch.ones(2, 4, dtype=torch.float64)).square().sum().backward()
        assert layer.weight.grad is not None
        assert layer.bias.grad is not None
        decayed = layer.weight.grad + 0.1 * weight
        ratio = 0.01 * weight.norm() / decayed.norm()
        velocity_w = 0.9 * velocity_w + ratio * decayed
        velocity_b = 0.9 * velocity_b + layer.bias.grad
        weight, bias = weight - 0.5 * velocity_w, bias - 0.5 * velocity_b
        optimizer.step()
        torch.testing.assert_close(layer.weight.detach(), weight, rtol=0, atol=1e-9)
        torch.testing.assert_close(layer.bias.detach(), bias, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_every_optimizer_lowers_a_quadratic_and_keeps_its_groups(name):
    x = nn.Parameter(torch.full((4, 4), 3.0))
    rate = {"lars": 5.0, "sgd": 0.05}.get(name, 0.1)
    optimizer = OPTIMIZERS[name](lr=rate).build([{"params": [x], "lr_scale": 0.5}])
    assert optimizer.param_groups[0]["lr_scale"] == 0.5
    assert optimizer.param_groups[0]["lr"] == rate
    for _ in range(60):
        optimizer.zero_grad()
        x.square().sum().backward()
        optimizer.step()
    assert float(x.detach().abs().max()) < 2


def test_cosine_falls_from_one_to_its_floor_after_a_linear_warm_up():
    schedule = Cosine(warmup_epochs=2, floor=0.1)
    factors = [schedule.factor(step, 50, 5, []) for step in range(50)]
    assert factors[:10] == pytest.approx([(step + 1) / 10 for step in range(10)])
    expected = [0.1 + 0.9 * (1 + math.cos(math.pi * (step - 10) / 40)) / 2 for step in range(10, 50)]
    assert factors[10:] == pytest.approx(expected)


def test_plateau_follows_the_past_as_torchs_does():
    metrics = [0.1, 0.2, 0.2, 0.2, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.31, 0.31, 0.31]
    parameter = nn.Parameter(torch.zeros(1))
    reference = torch.optim.SGD([parameter], lr=1.0)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(
        reference, mode="max", factor=0.5, patience=2, threshold=1e-4, threshold_mode="abs"
    )
    ours = Plateau(decay=0.5, patience=2, threshold=1e-4)
    for seen in range(1, len(metrics) + 1):
        theirs.step(metrics[seen - 1])
        assert ours.factor(0, 100, 10, metrics[:seen]) == pytest.approx(reference.param_groups[0]["lr"])


def test_constant_and_the_registry():
    assert Constant().factor(3, 10, 2, []) == 1
    assert {"constant", "cosine", "plateau"} <= set(SCHEDULES)
