"""Cutout (DeVries and Taylor 2017): a square of the image turns grey."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from trainables.augment.batch_rng import BatchRNG
from trainables.augment.operation import OPERATIONS, IntensityOperation


@dataclass(frozen=True)
class Cutout(IntensityOperation):
    """A square at a random place takes the image's mean.

    Attributes:
        side: side of the square at strength 1, as a share of the image's, in (0, 1].
    """

    side: float = 0.25

    def __post_init__(self) -> None:
        if not 0 < self.side <= 1:
            raise ValueError(f"side is {self.side}, expected a share in (0, 1]")

    def __call__(self, images: Tensor, rng: BatchRNG, strength: float) -> Tensor:
        """Return the changed images; each image draws its own place, whatever the batch size and device."""
        half = min(1.0, strength * self.side) / 2
        row, column = (rng.uniform(0.0, 1.0).view(-1, 1, 1, 1) for _ in range(2))
        rows, columns = (torch.linspace(0, 1, n, device=images.device) for n in images.shape[2:])
        inside = ((rows.view(1, 1, -1, 1) - row).abs() < half) & ((columns - column).abs() < half)
        return torch.where(inside, images.mean((2, 3), keepdim=True), images)


OPERATIONS.add("cutout", Cutout)
