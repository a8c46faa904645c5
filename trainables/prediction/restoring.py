"""Predictions at the size of the network's input, resampled to the image's own size."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from trainables.data.store.resize import PixelGrid

_CHUNK = 1 << 24
"""Most values that are resampled at once: 64 MB."""


def restore(values: Tensor, pixels: PixelGrid, shape: tuple[int, int], outside: int | None = None) -> Tensor:
    """Resample maps of the network's square to the image, bilinearly between pixel centres.

    A side that shrinks is low-pass filtered first. Pixels of the image that lie outside the square get 0.

    Args:
        values: float32 `(N, K, S, S)`.
        pixels: position of the square on the image.
        shape: size (H, W) of the image.
        outside: channel that is 1 outside the square; None for none.

    Returns:
        Float32 `(N, K, H, W)`.
    """
    if shape == pixels.resized == (pixels.size, pixels.size):
        return values
    if pixels.resized != (pixels.size, pixels.size):
        canvas = values.new_zeros(*values.shape[:2], *pixels.resized)
        if outside is not None:
            canvas[:, outside] = 1
        inner, outer = pixels.overlap()
        canvas[(..., *outer)] = values[(..., *inner)]
        values = canvas
    if values.shape[-2:] == shape:
        return values
    shrinks = shape[0] < values.shape[-2] or shape[1] < values.shape[-1]
    return F.interpolate(values, shape, mode="bilinear", align_corners=False, antialias=shrinks)


def restored_masks(scores: Tensor, pixels: PixelGrid, shape: tuple[int, int]) -> Tensor:
    """Return the class of the largest probability at each pixel of the image, uint8 `(N, H, W)`.

    Args:
        scores: logits or log-probabilities `(N, K, S, S)`.
        pixels: position of the square on the image.
        shape: size (H, W) of the image.
    """
    if shape == pixels.resized == (pixels.size, pixels.size):
        return largest(scores)
    chunks = _chunks(scores, shape)
    return torch.cat([largest(restore(part.float().softmax(1), pixels, shape, outside=0)) for part in chunks])


def largest(values: Tensor) -> Tensor:
    """Return the index of the largest value over the second axis, the first one of several, uint8 `(N, ...)`.

    On a CPU this is many times faster than `argmax` over an axis that is not the last.
    """
    best, found = values[:, 0], torch.zeros_like(values[:, 0], dtype=torch.uint8)
    for number in range(1, values.shape[1]):
        found = torch.where(values[:, number] > best, number, found).to(torch.uint8)
        best = torch.maximum(best, values[:, number])
    return found


def _chunks(scores: Tensor, shape: tuple[int, int]) -> Iterator[Tensor]:
    size = max(1, _CHUNK // (scores.shape[1] * shape[0] * shape[1]))
    yield from scores.split(size)
