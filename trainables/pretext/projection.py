"""Projection heads: what stands between a backbone and a contrastive loss, and is thrown away afterwards."""

from __future__ import annotations

from torch import nn


def mlp(inputs: int, hidden: int, outputs: int, *, output_norm: bool) -> nn.Sequential:
    """Linear, batch norm, ReLU, linear; SimCLR's ends with a batch norm (`output_norm`), BYOL's does not."""
    layers: list[nn.Module] = [
        nn.Linear(inputs, hidden, bias=False),  # the batch norm that follows has the bias
        nn.BatchNorm1d(hidden),
        nn.ReLU(),
        nn.Linear(hidden, outputs, bias=False),
    ]
    if output_norm:
        layers.append(nn.BatchNorm1d(outputs))
    return nn.Sequential(*layers)
