"""Images and labels seen through a displacement field: the value at p is taken from p + u(p).

Sampling is by whole pixel indices and fractions, so a field of zeros gives the image back bit for bit. Beyond the
border the border's own values go on.
"""

from __future__ import annotations

import torch
from torch import Tensor


def warp(images: Tensor, displacement: Tensor) -> Tensor:
    """Images, or fields, interpolated bilinearly.

    Args:
        images: floating point `(B, C, H, W)`.
        displacement: `(B, 2, H, W)` in pixels, rows first.

    Returns:
        `(B, C, H, W)`, differentiable by both.
    """
    height, width = images.shape[-2:]
    y, x = _positions(displacement)
    top, left = _whole(y.detach().floor()), _whole(x.detach().floor())
    down, across = (y - top).unsqueeze(1), (x - left).unsqueeze(1)
    corner = top * width + left
    right = (left < width - 1).int()  # 0 at the border, where the fraction is 0 too
    below = corner + width * (top < height - 1).int()
    upper = torch.lerp(_pick(images, corner), _pick(images, corner + right), across)
    lower = torch.lerp(_pick(images, below), _pick(images, below + right), across)
    return torch.lerp(upper, lower, down)


def warp_labels(masks: Tensor, displacement: Tensor) -> Tensor:
    """Class indices `(B, H, W)` of any integer type, each taken from the nearest pixel."""
    y, x = _positions(displacement)
    return _pick(masks.unsqueeze(1), _whole(y.round()) * masks.shape[-1] + _whole(x.round())).squeeze(1)


def compose(first: Tensor, then: Tensor) -> Tensor:
    """The one field `(B, 2, H, W)` that warps as warping by `first` and what comes of it by `then`."""
    return then + warp(first, then)


def _positions(displacement: Tensor) -> tuple[Tensor, Tensor]:
    """Where each pixel's value comes from: rows and columns `(B, H, W)` within the image."""
    height, width = displacement.shape[-2:]
    rows = torch.arange(height, device=displacement.device, dtype=displacement.dtype).unsqueeze(1)
    columns = torch.arange(width, device=displacement.device, dtype=displacement.dtype)
    return (rows + displacement[:, 0]).clamp(0, height - 1), (columns + displacement[:, 1]).clamp(0, width - 1)


def _whole(values: Tensor) -> Tensor:
    """As indices; a diverged field has some all the same, so that the loss, not an index, is what fails."""
    return values.nan_to_num(0.0).int()


def _pick(images: Tensor, places: Tensor) -> Tensor:
    """The values `(B, C, h, w)` at places `(B, h, w)`, counted row by row."""
    batch, channels, height, width = images.shape
    starts = torch.arange(batch, device=places.device, dtype=places.dtype).mul_(height * width).view(-1, 1, 1)
    values = images.transpose(0, 1).reshape(channels, -1).index_select(1, (places + starts).flatten())
    return values.view(channels, *places.shape).transpose(0, 1)
