"""MADGRAD by groups against the authors' package, which steps one weight after the other."""

import math
from typing import Any

import madgrad
import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from trainables.engine.optim.madgrad import MADGRAD
from trainables.engine.optim.optimizers import Madgrad

OPERATIONS = 12
"""Most operations of a step with one group of parameters, those of its counter and of the profiler included."""


def network() -> nn.Sequential:
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(64, 3), nn.Linear(3, 2))
    return layers.to(memory_format=torch.channels_last)


def groups(net: nn.Sequential) -> list[dict[str, Any]]:
    return [{"params": list(net[:2].parameters()), "lr": 0.003}, {"params": list(net[3:].parameters())}]


def add_gradients(net: nn.Sequential, step: int) -> None:
    """Add gradients; the last layer gets its first one later than the others."""
    net.zero_grad()
    x = torch.randn(5, 2, 6, 6, generator=torch.Generator().manual_seed(step))
    hidden = net[:-1](x)
    (net[-1](hidden) if step > 2 else hidden).square().sum().backward()


@pytest.mark.parametrize("settings", [{}, {"momentum": 0.0}, {"weight_decay": 0.1}, {"eps": 0.0}, {"lr": 0.0}], ids=str)
def test_steps_are_those_of_the_package_bit_for_bit(settings):
    arguments = {"lr": 0.01, **settings}
    nets = network(), network()
    optimizers = MADGRAD(groups(nets[0]), **arguments), madgrad.MADGRAD(groups(nets[1]), **arguments)
    for step in range(6):
        for net, optimizer in zip(nets, optimizers, strict=True):
            optimizer.param_groups[1]["lr"] = arguments["lr"] * (1 + math.cos(step)) / 2
            add_gradients(net, step)
            optimizer.step()
        for one, two in zip(nets[0].parameters(), nets[1].parameters(), strict=True):
            assert torch.equal(one, two)
        if step == 2:  # each goes on from the other's state
            states = [each.state_dict() for each in optimizers]
            for optimizer, state in zip(optimizers, reversed(states), strict=True):
                optimizer.load_state_dict(state)


class Operations(TorchDispatchMode):
    """Names of operations in their order."""

    def __init__(self) -> None:
        super().__init__()
        self.names = list[str]()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.append(str(func))
        return func(*args, **(kwargs or {}))


def test_a_step_takes_few_operations_however_many_weights():
    net = network()
    optimizer = Madgrad(weight_decay=0.1).build([{"params": list(net.parameters())}])
    for step in (3, 4):
        add_gradients(net, step)
        with Operations() as operations:
            optimizer.step()
    assert len(operations.names) <= OPERATIONS, operations.names
