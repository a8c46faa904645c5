"""Resampling of images to a network's square and of its output back, as matrices that an exported graph computes.

Numbers of rows and columns appear as tensors only, so that one graph serves images of every size, on any device.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Axis:
    """Rows or columns of an image and of the square on it; the tensor form of one axis of a `PixelGrid`.

    Attributes:
        pixels: float64 `(n,)`, the numbers 0 to n - 1 of the image's pixels.
        square: float64 `(S,)`, the numbers 0 to S - 1 of the square's pixels.
        length: float64 scalar, number of pixels of the full axis at the square's resolution.
        offset: float64 scalar, number of the square's first pixel on that axis; negative where the image is padded.
    """

    pixels: Tensor
    square: Tensor
    length: Tensor
    offset: Tensor

    @property
    def size(self) -> Tensor:
        """Number of the image's pixels, a float64 scalar."""
        return self.pixels[-1] + 1

    def to_square(self, shrinks: Tensor, either_shrinks: Tensor) -> Tensor:
        """Return the weights `(S, n)` of the image's pixels in the square's; padding has none.

        They are OpenCV's: `INTER_AREA` where both axes shrink, `INTER_LINEAR` where none does, and for one of each the
        linear weights that `INTER_AREA` then uses.

        Args:
            shrinks: bool scalar, true if no axis has fewer pixels than its length at the square's resolution.
            either_shrinks: bool scalar, true if an axis has more.
        """
        place, ratio = self.square + self.offset, self.length / self.size
        scale = 1 / ratio
        low, high = (place * scale)[:, None], ((place + 1) * scale)[:, None]
        area = (torch.minimum(high, self.pixels + 1) - torch.maximum(low, self.pixels)).clamp_min(0) / scale
        first = (place * scale).floor()
        share = (place + 1) - (first + 1) * ratio
        share = torch.where(share <= 0, torch.zeros_like(share), share - share.floor())
        mixed = self._linear(first + share)
        linear = self._linear((place + 0.5) * scale - 0.5)
        weights = torch.where(shrinks, area, torch.where(either_shrinks, mixed, linear))
        inside = (place >= 0) & (place < self.length)
        return (weights * inside[:, None]).float()

    def to_image(self) -> Tensor:
        """Return the linear weights `(n, S)` of the square's pixels in the image's, low-pass filtered where it shrinks.

        They sum to the share of a pixel that lies inside the square.
        """
        ratio = self.length / self.size
        width, place = ratio.clamp_min(1), self.square + self.offset
        center = torch.minimum(((self.pixels + 0.5) * ratio - 0.5).clamp_min(0), self.length - 1)
        weights = (1 - (center[:, None] - place).abs() / width).clamp_min(0) * ((place >= 0) & (place < self.length))
        # an image that the square covers has no weights outside it
        total = torch.where(self.length <= self.square[-1] + 1, weights.sum(1, keepdim=True), width)
        return (weights / total).float()

    def _linear(self, center: Tensor) -> Tensor:
        """Return linear weights `(S, n)` of the pixels about positions `(S,)`, which the image's ends bound."""
        bounded = torch.minimum(center.clamp_min(0), self.pixels[-1])
        return (1 - (bounded[:, None] - self.pixels).abs()).clamp_min(0)


class Resampler(nn.Module):
    """Resampling between images and a network's square, as `PixelGrid` does it.

    Args:
        size: side S of the square in pixels.
        pixel_mm: width of the square's pixels in mm, the image being cropped or padded about its centre; None stretches
            the full image to the square.
    """

    square: Tensor

    def __init__(self, size: int, pixel_mm: float | None = None) -> None:
        super().__init__()
        self.pixel_mm = pixel_mm
        self.register_buffer("square", torch.arange(size, dtype=torch.float64), persistent=False)

    def axes(self, images: Tensor, spacing: Tensor | None = None) -> tuple[Axis, Axis]:
        """Return the axes of rows and of columns.

        Args:
            images: `(B, C, H, W)`.
            spacing: (row, column) spacing `(2,)` of the images' pixels in mm, required with `pixel_mm`.
        """
        rows, columns = numbers(images[0, 0, :, 0]), numbers(images[0, 0, 0, :])
        if self.pixel_mm is None:
            return self._axis(rows, self.square[-1] + 1), self._axis(columns, self.square[-1] + 1)
        assert spacing is not None
        row_mm, column_mm = spacing.double().unbind()
        return (
            self._axis(rows, _length(rows, row_mm, self.pixel_mm)),
            self._axis(columns, _length(columns, column_mm, self.pixel_mm)),
        )

    def to_square(self, images: Tensor, axes: tuple[Axis, Axis]) -> Tensor:
        """Return images `(B, C, H, W)` of values 0 to 255 as `(B, C, S, S)`, rounded to whole numbers as a store's."""
        rows, columns = axes
        shrinks = (rows.size >= rows.length) & (columns.size >= columns.length)
        either = (rows.size > rows.length) | (columns.size > columns.length)
        weights = (axis.to_square(shrinks, either) for axis in axes)
        resized = _apply(images, *weights)
        halved = (rows.size == 2 * rows.length) & (columns.size == 2 * columns.length)
        # OpenCV rounds ties to the even number, but up where it averages 2x2 pixels
        return torch.where(halved, (resized + 0.5).floor(), resized.round()).clamp(0, 255)

    def to_image(self, probabilities: Tensor, axes: tuple[Axis, Axis]) -> Tensor:
        """Return probabilities `(B, K, S, S)` as `(B, K, H, W)`; all is background where the square does not reach."""
        rows, columns = (axis.to_image() for axis in axes)
        found = _apply(probabilities, rows, columns)
        covered = rows.sum(1)[:, None] * columns.sum(1)
        return torch.cat([found[:, :1] + (1 - covered), found[:, 1:]], 1)

    def _axis(self, pixels: Tensor, length: Tensor) -> Axis:
        return Axis(pixels, self.square, length, ((length - (self.square[-1] + 1)) / 2).floor())


def numbers(line: Tensor) -> Tensor:
    """Return the numbers 0 to n - 1 as float64 for a tensor `(n,)`, on its device; a graph keeps them for every n."""
    return torch.ones_like(line, dtype=torch.float64).cumsum(0) - 1


def _length(pixels: Tensor, spacing: Tensor, pixel_mm: float) -> Tensor:
    return ((pixels[-1] + 1) * spacing / pixel_mm).round().clamp_min(1)


def _apply(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Return images `(B, C, H, W)` weighted by `(R, H)` and `(S, W)` as `(B, C, R, S)`."""
    return rows @ images @ columns.T
