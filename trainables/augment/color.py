"""Saturation, hue and random greyscale: the part of SimCLR's color distortion that gray images cannot use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from trainables.augment.batch_rng import BatchRNG, constant
from trainables.augment.intensity import check_probability, factors_about_one, on_chosen
from trainables.augment.operation import IntensityOperation
from trainables.data.readers.colors import LUMA
from trainables.data.records import RGB

_SECTORS = 6
"""Parts of the circle of hues, between red, yellow, green, cyan, blue and magenta."""


@dataclass(frozen=True)
class Color(IntensityOperation):
    """Random saturation and hue, then random greyscale; with `Jitter`, SimCLR's color distortion at strength 1.

    Attributes:
        saturation: half width of the factor's range about 1, at least 0; factors below 0 are not drawn.
        hue: largest shift in either direction, as a fraction of the circle of hues, in [0, 0.5].
        p: probability of a change of saturation and hue, in [0, 1].
        grey: probability of greyscale at strength 1, in [0, 1].
    """

    channels: ClassVar[tuple[str, ...] | None] = RGB

    saturation: float = 0.8
    hue: float = 0.2
    p: float = 0.8
    grey: float = 0.2

    def __post_init__(self) -> None:
        check_probability(self.p)
        if self.saturation < 0 or not 0 <= self.hue <= 0.5:
            raise ValueError(f"saturation {self.saturation}, hue {self.hue}: expected at least 0 and in [0, 0.5]")
        if not 0 <= self.grey <= 1:
            raise ValueError(f"grey is {self.grey}, expected a probability in [0, 1]")

    def __call__(self, images: Tensor, rng: BatchRNG, strength: float) -> Tensor:
        """Return the changed images `(B, 3, H, W)`; saturation and hue of the chosen ones, greyscale of others."""

        def change(images: Tensor, rng: BatchRNG, _: Tensor) -> Tensor:
            saturation = factors_about_one(rng.fork("saturation"), strength * self.saturation)
            limit = min(0.5, strength * self.hue)
            return shift_hue(saturate(images, saturation), rng.fork("hue").uniform(-limit, limit))

        images = on_chosen(images, rng.fork("jitter"), self.p, change)
        p = min(1.0, strength * self.grey)
        return on_chosen(images, rng.fork("grey"), p, lambda images, *_: luma(images).expand_as(images))


def luma(images: Tensor) -> Tensor:
    """Return the gray values `(B, 1, H, W)` of red, green and blue `(B, 3, H, W)`."""
    weights = constant(LUMA, images).view(1, 3, 1, 1)
    return (images * weights).sum(1, keepdim=True)


def saturate(images: Tensor, factor: Tensor) -> Tensor:
    """Return images whose distance from their gray values is multiplied, clipped to [0, 1].

    Args:
        images: red, green and blue in [0, 1], `(B, 3, H, W)`.
        factor: factors `(B,)`, at least 0: 0 is gray, 1 changes nothing.
    """
    gray = luma(images)
    return ((images - gray) * factor.view(-1, 1, 1, 1) + gray).clamp(0, 1)


def shift_hue(images: Tensor, shift: Tensor) -> Tensor:
    """Return images whose hues are moved along their circle; value and saturation stay, as in HSV.

    Args:
        images: red, green and blue in [0, 1], `(B, 3, H, W)`.
        shift: shifts `(B,)` as fractions of the circle.
    """
    red, green, blue = images.unbind(1)
    value = images.amax(1)
    chroma = value - images.amin(1)
    safe = chroma.clamp_min(1e-8)  # a gray pixel has no hue, and keeps its value with any
    hue = torch.where(value == green, (blue - red) / safe + 2, (red - green) / safe + 4)
    hue = torch.where(value == red, (green - blue) / safe, hue) + _SECTORS * shift.view(-1, 1, 1)
    places = [torch.remainder(first + hue, _SECTORS) for first in (5, 3, 1)]
    return torch.stack([value - chroma * torch.minimum(place, 4 - place).clamp(0, 1) for place in places], 1)
