"""Image similarities: global and local normalized cross-correlation (NCC), one value per pair."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

FLAT_IMAGE = 1e-8
"""Added to an image's variance: an image with a standard deviation far below 1e-4 has an NCC near 0 with any other."""
FLAT_WINDOW = 1e-5
"""Added to a window's variance: a window with a deviation below one of 256 gray levels counts as constant."""


@dataclass(frozen=True)
class Similarity(ABC):
    """Interface of a similarity, called with two batches of images in [0, 1]."""

    def __call__(self, fixed: Tensor, moved: Tensor) -> Tensor:
        """Compute the similarity `(B,)`, in [-1, 1], of pairs of `(B, C, H, W)` images in float32 or wider."""
        wide = torch.promote_types(torch.promote_types(fixed.dtype, moved.dtype), torch.float32)
        with torch.autocast(fixed.device.type, enabled=False):
            return self.value(fixed.to(wide), moved.to(wide))

    @abstractmethod
    def value(self, fixed: Tensor, moved: Tensor) -> Tensor:
        """Compute the similarity `(B,)` in the dtype of the images."""


@dataclass(frozen=True)
class GlobalNCC(Similarity):
    """Normalized cross-correlation over all pixels of an image, averaged over its channels."""

    def value(self, fixed: Tensor, moved: Tensor) -> Tensor:
        """Divide the covariance by both standard deviations; 0 where one image is constant."""
        fixed, moved = (image.flatten(2) - image.flatten(2).mean(2, keepdim=True) for image in (fixed, moved))
        covariance = (fixed * moved).mean(2)
        deviations = [(image.square().mean(2) + FLAT_IMAGE).sqrt() for image in (fixed, moved)]
        return (covariance / (deviations[0] * deviations[1])).mean(1)


@dataclass(frozen=True)
class LocalNCC(Similarity):
    """Normalized cross-correlation in the window around each pixel, averaged over the pixels.

    Unlike the squared form it keeps its sign, so an inverted patch lowers the similarity.

    Attributes:
        window: side of the window in pixels, odd, at least 3; at the border only pixels inside the image count.
    """

    window: int = 9

    def __post_init__(self) -> None:
        if self.window < 3 or self.window % 2 == 0:
            raise ValueError(f"window is {self.window}, expected an odd number from 3 up")

    def value(self, fixed: Tensor, moved: Tensor) -> Tensor:
        """Average the local NCC over pixels and channels; constant windows count as 0.

        Window sums use float64: in float32 the variance of a nearly constant window would be rounding error.
        """
        images = fixed.double(), moved.double()
        means = [self._mean(image) for image in images]
        covariance = self._mean(images[0] * images[1]) - means[0] * means[1]
        variances = [
            (self._mean(image.square()) - mean.square()).clamp_min(0) for image, mean in zip(images, means, strict=True)
        ]
        deviations = [(variance + FLAT_WINDOW).sqrt() for variance in variances]
        return (covariance / (deviations[0] * deviations[1])).mean((1, 2, 3)).to(fixed.dtype)

    def _mean(self, images: Tensor) -> Tensor:
        side, half = self.window, self.window // 2
        down = F.avg_pool2d(images, (side, 1), stride=1, padding=(half, 0), count_include_pad=False)
        return F.avg_pool2d(down, (1, side), stride=1, padding=(0, half), count_include_pad=False)
