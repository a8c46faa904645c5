"""Adaptation of tensors to an encoder with another number of channels or another grid of positions."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def adapt_channels(kernel: Tensor, channels: int) -> Tensor:
    """Return a first convolution `(O, C, k, k)` as `(O, channels, k, k)` with an equal response to gray images."""
    if channels == kernel.shape[1]:
        return kernel
    return kernel.sum(1, keepdim=True).expand(-1, channels, -1, -1) / channels


def adapted(name: str, value: Tensor, expected: Tensor, *, first: bool) -> Tensor | None:
    """Return a tensor in the shape that an encoder expects; None if it cannot be adapted.

    A linear layer and a convolution of kernel size 1 stand for each other. A first convolution takes another number of
    channels. Position embeddings `(1, N, D)` and `(1, h, w, D)` of other grids and relative positions `(2 S - 1, D)`
    are interpolated.

    Args:
        name: name of the tensor.
        value: tensor of the file.
        expected: tensor of the encoder.
        first: True for the encoder's first convolution.
    """
    if value.squeeze().shape == expected.squeeze().shape:  # also a 1x1 convolution for a linear layer
        return value.reshape(expected.shape)
    if first and value.ndim == expected.ndim == 4 and _equal_but_channels(value, expected):
        return adapt_channels(value, expected.shape[1])
    if value.ndim != expected.ndim or value.shape[-1] != expected.shape[-1]:
        return None
    if name.endswith("pos_embed") and value.ndim == 4:
        return _resize_grid(value, (expected.shape[1], expected.shape[2]))
    if name.endswith("pos_embed") and value.ndim == 3:
        return _resize_tokens(value, expected.shape[1])
    if name.rpartition(".")[2].startswith("rel_pos_") and value.ndim == 2:
        return F.interpolate(value.T[None], expected.shape[0], mode="linear")[0].T
    return None


def _equal_but_channels(one: Tensor, two: Tensor) -> bool:
    return one.shape[0] == two.shape[0] and one.shape[2:] == two.shape[2:]


def _resize_grid(positions: Tensor, size: tuple[int, int]) -> Tensor:
    """Return positions `(1, h, w, D)` interpolated to another grid."""
    if positions.shape[1:3] == size:
        return positions
    resized = F.interpolate(positions.permute(0, 3, 1, 2), size, mode="bicubic", antialias=True, align_corners=False)
    return resized.permute(0, 2, 3, 1)


def _resize_tokens(positions: Tensor, count: int) -> Tensor | None:
    """Return positions `(1, N, D)` of a square grid for `count` tokens; None if either is no grid.

    One token before the grid is that of the class; where the file has none, its position is zero.
    """
    old, new = math.isqrt(positions.shape[1]), math.isqrt(count)
    before, after = positions.shape[1] - old**2, count - new**2
    if before not in (0, 1) or after not in (0, 1):
        return None
    grid = _resize_grid(positions[:, before:].view(1, old, old, -1), (new, new)).flatten(1, 2)
    return torch.cat([F.pad(positions[:, :before], (0, 0, 0, after - before)), grid], 1) if after else grid
