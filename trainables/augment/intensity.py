"""Intensity: brightness, contrast, gamma, blur, noise and solarisation of a batch in [0, 1]."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from trainables.augment.batch_rng import BatchRNG, to_device_async
from trainables.augment.operation import IntensityOperation, MeansAtBrightness, PointwiseOperation


def check_probability(p: float) -> None:
    """Raise ValueError unless `p` is in [0, 1]."""
    if not 0 <= p <= 1:
        raise ValueError(f"p is {p}, expected a probability in [0, 1]")


def on_chosen(images: Tensor, rng: BatchRNG, p: float, change: Callable[[Tensor, BatchRNG, Tensor], Tensor]) -> Tensor:
    """Return the batch with `change` applied to images that are chosen with probability `p`.

    Args:
        images: float32 `(B, C, H, W)`.
        rng: random numbers of the operation.
        p: probability of each image, in [0, 1].
        change: function of the chosen images, their random numbers and their rows (int64 on the CPU) to new images.
    """
    # The choice is drawn on the CPU, so that a GPU is never synchronized.
    rows = rng.fork("chosen").on("cpu").chance(p).nonzero().squeeze(1)
    if not len(rows):
        return images
    if len(rows) == len(images):
        return change(images, rng, rows)
    there = to_device_async(rows, images.device)
    return images.index_copy(0, there, change(images[there], rng.of_rows(rows), rows))


@dataclass(frozen=True)
class Jitter(PointwiseOperation):
    """Random brightness and contrast, all channels alike: SimCLR's color distortion for one channel.

    Attributes:
        brightness: half width of the factor's range about 1, at least 0; factors below 0 are not drawn.
        contrast: half width of the factor's range about 1, at least 0; applied about each image's mean.
        p: probability, in [0, 1].
    """

    brightness: float = 0.8
    contrast: float = 0.8
    p: float = 0.8

    def __post_init__(self) -> None:
        check_probability(self.p)
        if self.brightness < 0 or self.contrast < 0:
            raise ValueError(f"brightness {self.brightness}, contrast {self.contrast}: expected at least 0")

    def __call__(
        self, images: Tensor, rng: BatchRNG, strength: float, means: MeansAtBrightness | None = None
    ) -> Tensor:
        """Change brightness, then contrast, of the chosen images; clip to [0, 1] after each.

        Args:
            images: float32 `(B, C, H, W)` in [0, 1].
            rng: random numbers of this operation.
            strength: factor on the half widths.
            means: function that returns the means of the brightened images; None computes them from `images`.
        """

        def change(images: Tensor, rng: BatchRNG, rows: Tensor) -> Tensor:
            drawn = [
                factors_about_one(rng.fork(name).on("cpu"), strength * getattr(self, name))
                for name in ("brightness", "contrast")
            ]
            b, c = to_device_async(torch.stack(drawn), images.device).unbind()
            changed = (images * b.view(-1, 1, 1, 1)).clamp(0, 1)
            mean = (changed.mean((1, 2, 3)) if means is None else means(rows, b)).view(-1, 1, 1, 1)
            return ((changed - mean) * c.view(-1, 1, 1, 1) + mean).clamp(0, 1)

        return on_chosen(images, rng, self.p, change)

    def map_levels(self, levels: Tensor, rng: BatchRNG, strength: float, means: MeansAtBrightness) -> Tensor:
        """Return the new gray levels, with the contrast about the means of the images instead of the levels."""
        return self(levels, rng, strength, means)


@dataclass(frozen=True)
class Gamma(PointwiseOperation):
    """Power law of the gray values.

    Attributes:
        range: lowest and highest exponent, above 0; drawn log-uniformly.
        p: probability, in [0, 1].
    """

    range: tuple[float, float] = (0.7, 1.5)
    p: float = 0.5

    def __post_init__(self) -> None:
        check_probability(self.p)
        if not 0 < self.range[0] <= self.range[1]:
            raise ValueError(f"range {self.range}: expected 0 < low <= high")

    def __call__(self, images: Tensor, rng: BatchRNG, strength: float) -> Tensor:
        """Return images ** exponent for the chosen images."""
        low, high = (strength * math.log(limit) for limit in self.range)

        def change(images: Tensor, rng: BatchRNG, _: Tensor) -> Tensor:
            return images.clamp_min(1e-6) ** torch.exp(rng.uniform(low, high)).view(-1, 1, 1, 1)

        return on_chosen(images, rng, self.p, change)


@dataclass(frozen=True)
class Blur(IntensityOperation):
    """Gaussian blur, with a kernel a tenth of the image wide (SimCLR, appendix A).

    Attributes:
        sigma: range of the standard deviation in pixels, above 0.
        p: probability, in [0, 1].
    """

    sigma: tuple[float, float] = (0.1, 2.0)
    p: float = 0.5

    def __post_init__(self) -> None:
        check_probability(self.p)
        if not 0 < self.sigma[0] <= self.sigma[1]:
            raise ValueError(f"sigma {self.sigma}: expected 0 < low <= high")

    def sigmas(self, rng: BatchRNG, strength: float) -> Tensor:
        """Return standard deviations in pixels times strength, float32 `(B,)` on the CPU; 0 for images without blur."""
        rng = rng.on("cpu")
        chosen = rng.chance(self.p)
        return torch.where(chosen, rng.uniform(*self.sigma) * strength, 0.0)

    def __call__(self, images: Tensor, rng: BatchRNG, strength: float) -> Tensor:
        """Blur the chosen images, each with a different kernel."""
        sigma = self.sigmas(rng, strength)
        chosen = sigma.nonzero().squeeze(1)
        if not len(chosen):
            return images
        there = to_device_async(chosen, images.device)
        return images.index_copy(0, there, gaussian_blur(images[there], sigma[chosen]))


@dataclass(frozen=True)
class Noise(IntensityOperation):
    """Additive Gaussian noise.

    Attributes:
        sigma: largest standard deviation, as a fraction of the gray range; drawn uniformly from 0.
        p: probability, in [0, 1].
    """

    sigma: float = 0.1
    p: float = 0.5

    def __post_init__(self) -> None:
        check_probability(self.p)
        if self.sigma < 0:
            raise ValueError(f"sigma is {self.sigma}, expected at least 0")

    def __call__(self, images: Tensor, rng: BatchRNG, strength: float) -> Tensor:
        """Return images + sigma n, clipped to [0, 1]."""

        def change(images: Tensor, rng: BatchRNG, _: Tensor) -> Tensor:
            sigma = rng.uniform(0, strength * self.sigma).view(-1, 1, 1, 1)
            return rng.field(*images.shape[1:]).mul_(sigma).add_(images).clamp_(0, 1)

        return on_chosen(images, rng, self.p, change)


@dataclass(frozen=True)
class Solarise(PointwiseOperation):
    """Inversion of gray values of 1/2 and above (BYOL, appendix B).

    Attributes:
        p: probability at strength 1, in [0, 1].
    """

    p: float = 0.2

    def __post_init__(self) -> None:
        check_probability(self.p)

    def __call__(self, images: Tensor, rng: BatchRNG, strength: float) -> Tensor:
        """Return 1 - v where v >= 1/2 in the chosen images."""
        p = min(1.0, strength * self.p)
        return on_chosen(images, rng, p, lambda images, *_: torch.where(images >= 0.5, 1 - images, images))


def blur_radius(height: int, width: int) -> int:
    """Return the kernel's radius in pixels: the kernel is a tenth of the longer side wide (SimCLR, appendix A)."""
    return max(1, round(0.1 * max(height, width)) // 2)


def gaussian_blur(images: Tensor, sigma: Tensor) -> Tensor:
    """Blur each image by a Gaussian, with reflection at the edges.

    Args:
        images: float `(B, C, H, W)`.
        sigma: standard deviations in pixels `(B,)`, on the CPU, where the kernels are computed.
    """
    count, channels, height, width = images.shape
    radius = blur_radius(height, width)
    offsets = torch.arange(-radius, radius + 1, dtype=images.dtype)
    kernel = torch.exp(-0.5 * (offsets / sigma.clamp_min(1e-3).unsqueeze(1)) ** 2)
    kernel = (kernel / kernel.sum(1, keepdim=True)).repeat_interleave(channels, 0)
    kernel = to_device_async(kernel, images.device)
    flat = images.reshape(1, count * channels, height, width)
    flat = F.conv2d(F.pad(flat, (radius, radius, 0, 0), "reflect"), kernel[:, None, None, :], groups=count * channels)
    flat = F.conv2d(F.pad(flat, (0, 0, radius, radius), "reflect"), kernel[:, None, :, None], groups=count * channels)
    return flat.view(count, channels, height, width)


def factors_about_one(rng: BatchRNG, width: float) -> Tensor:
    """Return factors `(B,)`, uniform within `width` of 1 and at least 0."""
    return rng.uniform(max(0.0, 1 - width), 1 + width)
