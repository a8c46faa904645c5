"""Projection heads between a backbone and the pretext loss, discarded after pretraining."""

from __future__ import annotations

from torch import nn


def mlp(inputs: int, hidden: int, outputs: int, *, output_norm: bool, hidden_layers: int = 1) -> nn.Sequential:
    """Return an MLP with hidden layers of linear, batch norm and ReLU, and a linear output layer.

    SimCLR's head ends with a batch norm (`output_norm`), BYOL's does not; VICReg and Barlow Twins have two hidden
    layers.

    Args:
        inputs: number of input features.
        hidden: width of the hidden layers.
        outputs: number of output features.
        output_norm: True for a batch norm after the output layer.
        hidden_layers: number of hidden layers, from 1 up.
    """
    layers: list[nn.Module] = []
    for width in [inputs] + [hidden] * (hidden_layers - 1):
        # the following batch norm has the bias
        layers += [nn.Linear(width, hidden, bias=False), nn.BatchNorm1d(hidden), nn.ReLU()]
    layers.append(nn.Linear(hidden, outputs, bias=False))
    if output_norm:
        layers.append(nn.BatchNorm1d(outputs))
    return nn.Sequential(*layers)
