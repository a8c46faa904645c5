"""Normalization of images to zero mean and unit variance by channel."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Normalise(nn.Module):
    """Normalization by the mean and standard deviation of a dataset's train split.

    Args:
        mean: mean of each channel, for images in [0, 1].
        std: standard deviation of each channel, for images in [0, 1]; at least 1e-6 is used.

    Example:
        >>> Normalise(mean=[0.5], std=[0.25])(torch.ones(1, 1, 1, 1)).item()
        2.0
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32).clamp_min(1e-6).view(1, -1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Return normalized images `(..., C, H, W)` for float images `(..., C, H, W)` in [0, 1]."""
        return (images - self.mean) / self.std
