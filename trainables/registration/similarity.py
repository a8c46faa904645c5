"""How alike two images are: normalised cross-correlation, of each pair by itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

FLAT_IMAGE = 1e-8
"""Added to an image's variance: one of a deviation far under 1e-4 counts as constant and correlates with nothing."""
FLAT_WINDOW = 1e-5
"""Added to a window's variance: one flatter than a grey level of 256 counts as constant."""


@dataclass(frozen=True)
class Similarity(ABC):
    """Settings of a similarity, which is called with two batches of images in [0, 1]."""

    def __call__(self, fixed: Tensor, moved: Tensor) -> Tensor:
        """The similarity `(B,)` of each pair of `(B, C, H, W)` images, in [-1, 1], computed in float32 or wider."""
        wide = torch.promote_types(torch.promote_types(fixed.dtype, moved.dtype), torch.float32)
        with torch.autocast(fixed.device.type, enabled=False):
            return self.value(fixed.to(wide), moved.to(wide))

    @abstractmethod
    def value(self, fixed: Tensor, moved: Tensor) -> Tensor:
        """The similarity in the images' own precision."""


@dataclass(frozen=True)
class GlobalNCC(Similarity):
    """Normalised cross-correlation over all pixels of an image, averaged over its channels."""

    def value(self, fixed: Tensor, moved: Tensor) -> Tensor:
        """Covariance over both deviations; 0 where one image is constant."""
        fixed, moved = (image.flatten(2) - image.flatten(2).mean(2, keepdim=True) for image in (fixed, moved))
        covariance = (fixed * moved).mean(2)
        deviations = [(image.square().mean(2) + FLAT_IMAGE).sqrt() for image in (fixed, moved)]
        return (covariance / (deviations[0] * deviations[1])).mean(1)


@dataclass(frozen=True)
class LocalNCC(Similarity):
    """Normalised cross-correlation in the window around each pixel, averaged over the pixels.

    It keeps its sign, unlike the squared form: an inverted patch is unlike.

    Attributes:
        window: side in pixels, odd, from 3 up; at the border only what lies in the image counts.
    """

    window: int = 9

    def __post_init__(self) -> None:
        if self.window < 3 or self.window % 2 == 0:
            raise ValueError(f"window is {self.window}, expected an odd number from 3 up")

    def value(self, fixed: Tensor, moved: Tensor) -> Tensor:
        """The mean over pixels and channels; constant windows count as 0.

        Window sums are taken in float64: in float32 a dark window's variance would be a difference of rounding errors.
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
