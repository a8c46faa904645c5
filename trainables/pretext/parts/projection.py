"""Projection heads: what stands between a backbone and a contrastive loss, and is thrown away afterwards."""

from __future__ import annotations

from torch import nn


def mlp(inputs: int, hidden: int, outputs: int, *, output_norm: bool, hidden_layers: int = 1) -> nn.Sequential:
    """Hidden layers of linear, batch norm and ReLU, then linear.

    SimCLR's ends with a batch norm (`output_norm`), BYOL's does not; VICReg and Barlow Twins have two hidden layers.
    """
    layers: list[nn.Module] = []
    for width in [inputs] + [hidden] * (hidden_layers - 1):
        # the batch norm that follows has the bias
        layers += [nn.Linear(width, hidden, bias=False), nn.BatchNorm1d(hidden), nn.ReLU()]
    layers.append(nn.Linear(hidden, outputs, bias=False))
    if output_norm:
        layers.append(nn.BatchNorm1d(outputs))
    return nn.Sequential(*layers)
