"""Ultrasound acquisition effects: speckle, depth attenuation, time gain, shadows, haze, log compression.

All act on a batch in [0, 1] whose rows are depth, with the probe at the top.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from trainables.augment.batch_rng import BatchRNG
from trainables.augment.geometry import bicubic
from trainables.augment.intensity import check_probability, on_chosen
from trainables.augment.operation import IntensityOperation, PointwiseOperation


@dataclass(frozen=True)
class Speckle(IntensityOperation):
    """Multiplicative noise, correlated over a few pixels.

    Attributes:
        sigma: largest relative standard deviation; drawn uniformly from 0.
        grain: size of a grain in pixels, at least 1.
        p: probability, in [0, 1].
    """

    sigma: float = 0.3
    grain: float = 2.0
    p: float = 0.5

    def __post_init__(self) -> None:
        check_probability(self.p)
        if self.sigma < 0 or self.grain < 1:
            raise ValueError(f"sigma {self.sigma}, grain {self.grain}: expected at least 0 and at least 1")

    def __call__(self, images: Tensor, rng: BatchRNG, strength: float) -> Tensor:
        """Return images (1 + sigma n) with unit-variance noise n of the grain's size."""
        _, _, height, width = images.shape

        def change(images: Tensor, rng: BatchRNG, _: Tensor) -> Tensor:
            coarse = rng.field(1, max(2, round(height / self.grain)), max(2, round(width / self.grain)))
            field = F.interpolate(coarse, (height, width), mode="bilinear", align_corners=False)
            sigma = rng.uniform(0, strength * self.sigma).view(-1, 1, 1, 1)
            scale = sigma / field.std((1, 2, 3), keepdim=True).clamp_min(1e-6)
            return field.mul_(scale).add_(1).mul(images).clamp_(0, 1)

        return on_chosen(images, rng, self.p, change)


@dataclass(frozen=True)
class Attenuation(IntensityOperation):
    """Exponential signal loss with depth.

    Attributes:
        rate: largest exponent over the full depth; drawn uniformly from 0.
        p: probability, in [0, 1].
    """

    rate: float = 1.5
    p: float = 0.5

    def __post_init__(self) -> None:
        check_probability(self.p)
        if self.rate < 0:
            raise ValueError(f"rate is {self.rate}, expected at least 0")

    def __call__(self, images: Tensor, rng: BatchRNG, strength: float) -> Tensor:
        """Return images exp(-rate depth), with depth from 0 to 1 down the rows."""
        depth = torch.linspace(0, 1, images.shape[2], device=images.device).view(1, 1, -1, 1)

        def change(images: Tensor, rng: BatchRNG, _: Tensor) -> Tensor:
            rate = rng.uniform(0, strength * self.rate).view(-1, 1, 1, 1)
            return images * torch.exp(-rate * depth)

        return on_chosen(images, rng, self.p, change)


@dataclass(frozen=True)
class Gain(IntensityOperation):
    """Change of time-gain compensation: a smooth gain curve over depth.

    Attributes:
        amount: largest relative change at each of six sliders.
        p: probability, in [0, 1].
    """

    amount: float = 0.4
    p: float = 0.5

    def __post_init__(self) -> None:
        check_probability(self.p)
        if not 0 <= self.amount <= 1:
            raise ValueError(f"amount is {self.amount}, expected a share in [0, 1]")

    def __call__(self, images: Tensor, rng: BatchRNG, strength: float) -> Tensor:
        """Return images times the curve through the six sliders, clipped to [0, 1]."""
        limit = min(1.0, strength * self.amount)

        def change(images: Tensor, rng: BatchRNG, _: Tensor) -> Tensor:
            sliders = 1 + rng.uniform(-limit, limit, 1, 6)
            curve = F.interpolate(sliders, images.shape[2], mode="linear", align_corners=True).unsqueeze(3)
            return (images * curve).clamp_(0, 1)

        return on_chosen(images, rng, self.p, change)


@dataclass(frozen=True)
class Shadow(IntensityOperation):
    """Acoustic shadow: a dark ray that starts at the probe.

    Attributes:
        depth: largest loss at the shadow's center, in [0, 1]; drawn uniformly from 0.
        width: largest half width, as a fraction of the image, in (0, 1]; drawn uniformly from a fifth of it.
        p: probability, in [0, 1].
    """

    depth: float = 0.8
    width: float = 0.12
    p: float = 0.3

    def __post_init__(self) -> None:
        check_probability(self.p)
        if not 0 <= self.depth <= 1 or not 0 < self.width <= 1:
            raise ValueError(f"depth {self.depth}, width {self.width}: expected shares in [0, 1]")

    def __call__(self, images: Tensor, rng: BatchRNG, strength: float) -> Tensor:
        """Darken the chosen images along a ray from the center of the upper edge."""
        _, _, height, width = images.shape
        y = ((torch.arange(height, device=images.device) + 0.5) / height).view(1, 1, -1, 1)
        x = ((torch.arange(width, device=images.device) + 0.5) / width - 0.5).view(1, 1, 1, -1)

        def change(images: Tensor, rng: BatchRNG, _: Tensor) -> Tensor:
            slope, spread, loss, start = (
                rng.uniform(low, high).view(-1, 1, 1, 1)
                for low, high in (
                    (-0.6, 0.6),
                    (self.width / 5, self.width),
                    (0, min(1.0, strength * self.depth)),
                    (0, 0.5),
                )
            )
            ray = torch.exp(-0.5 * ((x - slope * y) / (spread * (0.3 + y))) ** 2)
            fade = ((y - start) * 10).clamp(0, 1)
            return images * (1 - loss * fade * ray)

        return on_chosen(images, rng, self.p, change)


@dataclass(frozen=True)
class Haze(IntensityOperation):
    """Reverberation clutter: a bright veil near the probe.

    Attributes:
        amount: largest brightness added, in [0, 1]; drawn uniformly from 0.
        p: probability, in [0, 1].
    """

    amount: float = 0.4
    p: float = 0.3

    def __post_init__(self) -> None:
        check_probability(self.p)
        if not 0 <= self.amount <= 1:
            raise ValueError(f"amount is {self.amount}, expected a share in [0, 1]")

    def __call__(self, images: Tensor, rng: BatchRNG, strength: float) -> Tensor:
        """Add a smooth random veil that fades with depth, clipped to [0, 1]."""
        _, _, height, width = images.shape
        depth = torch.linspace(0, 1, height, device=images.device).view(1, 1, -1, 1)

        def change(images: Tensor, rng: BatchRNG, _: Tensor) -> Tensor:
            cloud = bicubic(rng.field(1, 5, 5), (height, width), align_corners=False).sigmoid_()
            amount = rng.uniform(0, min(1.0, strength * self.amount)).view(-1, 1, 1, 1)
            lit = (images > 0).any(1, keepdim=True)
            veil = cloud * (amount * torch.exp(-2 * depth)) * lit  # nothing is drawn outside the sector
            return (images + veil).clamp_(0, 1)

        return on_chosen(images, rng, self.p, change)


@dataclass(frozen=True)
class Compression(PointwiseOperation):
    """Change of log compression: the dynamic range in dB that the gray scale shows.

    Attributes:
        decibels: lowest and highest new dynamic range in dB, above 0; the image's range is assumed to be 60 dB.
        p: probability, in [0, 1].
    """

    decibels: tuple[float, float] = (40.0, 80.0)
    p: float = 0.5

    def __post_init__(self) -> None:
        check_probability(self.p)
        if not 0 < self.decibels[0] <= self.decibels[1]:
            raise ValueError(f"decibels {self.decibels}: expected 0 < low <= high")

    def __call__(self, images: Tensor, rng: BatchRNG, strength: float) -> Tensor:
        """Map gray v, which represents 60 (v - 1) dB, to the new range; clip to [0, 1]; black stays black."""
        low, high = (60 + strength * (limit - 60) for limit in self.decibels)

        def change(images: Tensor, rng: BatchRNG, _: Tensor) -> Tensor:
            shown = rng.uniform(max(low, 1.0), high).view(-1, 1, 1, 1)
            return (1 + 60 * (images - 1) / shown).clamp_(0, 1) * (images > 0)

        return on_chosen(images, rng, self.p, change)
