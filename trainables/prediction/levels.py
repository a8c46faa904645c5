"""Conversion of image values to 256 gray levels in torch, for exported graphs.

`trainables.data.readers.grey` does the same for the frames of a store.
"""

from __future__ import annotations

import torch
from torch import Tensor

from trainables.data.readers.grey import BRIGHT, DARK, FAINTEST, GreyRule
from trainables.prediction.resampler import numbers


def to_levels(images: Tensor, rule: GreyRule) -> Tensor:
    """Return images as levels 0 to 255.

    Args:
        images: float32 `(B, C, H, W)`, all frames of one sequence or volume, as they are stretched together.
        rule: "uint8" takes the values as levels; "stretched" stretches each channel between its percentiles 0.5 and
            99.5; "display" does so only for channels that go beyond 0..255 or whose percentile 99.5 is below a
            tenth of it.
    """
    if rule == "uint8":
        return images.clamp(0, 255)
    values = images.movedim(1, 0).flatten(1).sort(1).values
    low, high = (_percentile(values, share) for share in (DARK / 100, BRIGHT / 100))
    constant = high <= low
    first, last = torch.where(constant, values[:, 0], low), torch.where(constant, values[:, -1], high)
    factor = 255 / (last - first).clamp_min(1e-12)
    stretched = ((images - _by_channel(first)) * _by_channel(factor)).clamp(0, 255).round()
    if rule == "stretched":
        return stretched
    shown = (values[:, 0] >= 0) & (values[:, -1] <= 255) & (high >= FAINTEST)
    return torch.where(_by_channel(shown), images.round(), stretched)


def _percentile(values: Tensor, share: float) -> Tensor:
    """Return a percentile `(C,)` of sorted values `(C, N)`, linear between two of them."""
    place = share * numbers(values[0])[-1:]
    lower, upper = (values.index_select(1, edge.long())[:, 0] for edge in (place.floor(), place.ceil()))
    return lower + (upper - lower) * (place - place.floor()).float()


def _by_channel(values: Tensor) -> Tensor:
    return values.view(1, -1, 1, 1)
