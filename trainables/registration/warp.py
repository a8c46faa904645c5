"""Warping of images and labels by a displacement field: the value at p is sampled at p + u(p).

Positions are split into integer indices and fractions, so a zero field returns the image bit for bit. Positions outside
the image are clamped to its border.
"""

from __future__ import annotations

import torch
from torch import Tensor


def warp(images: Tensor, displacement: Tensor) -> Tensor:
    """Warp images or fields with bilinear interpolation.

    Args:
        images: images or fields, floating point `(B, C, H, W)`.
        displacement: displacement field `(B, 2, H, W)` in pixels, rows first.

    Returns:
        `(B, C, H, W)`, differentiable with respect to both arguments.
    """
    height, width = images.shape[-2:]
    y, x = _sample_positions(displacement)
    top, left = _indices(y.detach().floor()), _indices(x.detach().floor())
    down, across = (y - top).unsqueeze(1), (x - left).unsqueeze(1)
    corner = top * width + left
    right = (left < width - 1).int()  # 0 at the border, where the fraction is 0 too
    below = corner + width * (top < height - 1).int()
    upper = torch.lerp(_gather(images, corner), _gather(images, corner + right), across)
    lower = torch.lerp(_gather(images, below), _gather(images, below + right), across)
    return torch.lerp(upper, lower, down)


def warp_labels(masks: Tensor, displacement: Tensor) -> Tensor:
    """Warp class indices `(B, H, W)` of any integer type with nearest-neighbor sampling."""
    y, x = _sample_positions(displacement)
    return _gather(masks.unsqueeze(1), _indices(y.round()) * masks.shape[-1] + _indices(x.round())).squeeze(1)


def compose(first: Tensor, then: Tensor) -> Tensor:
    """Return the field `(B, 2, H, W)` equivalent to warping by `first` and warping the result by `then`."""
    return then + warp(first, then)


def _sample_positions(displacement: Tensor) -> tuple[Tensor, Tensor]:
    """Return the rows and columns `(B, H, W)` at which each pixel is sampled, clamped to the image."""
    height, width = displacement.shape[-2:]
    rows = torch.arange(height, device=displacement.device, dtype=displacement.dtype).unsqueeze(1)
    columns = torch.arange(width, device=displacement.device, dtype=displacement.dtype)
    return (rows + displacement[:, 0]).clamp(0, height - 1), (columns + displacement[:, 1]).clamp(0, width - 1)


def _indices(values: Tensor) -> Tensor:
    """Convert to indices; nan becomes 0, so that a diverged field fails in the loss and not in indexing."""
    return values.nan_to_num(0.0).int()


def _gather(images: Tensor, indices: Tensor) -> Tensor:
    """Gather the values `(B, C, h, w)` at flat row-major pixel indices `(B, h, w)`."""
    batch, channels, height, width = images.shape
    offsets = torch.arange(batch, device=indices.device, dtype=indices.dtype).mul_(height * width).view(-1, 1, 1)
    values = images.transpose(0, 1).reshape(channels, -1).index_select(1, (indices + offsets).flatten())
    return values.view(channels, *indices.shape).transpose(0, 1)
