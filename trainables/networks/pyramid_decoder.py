"""Expanding path of a UNet over the feature maps of any backbone."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainables.networks.unet_layers import conv_pair

WIDEST, NARROWEST = 256, 16
"""Channels of the deepest level, halved at each further level, and the fewest channels of a level."""


class PyramidDecoder(nn.Module):
    """Levels of nearest upsampling, concatenation with the skipped features and a pair of convolutions.

    Below the shallowest feature map, levels without a skip go on to the image's size, as far as its stride is a power
    of two. Maps with one single stride are first scaled to a pyramid.

    Args:
        channels: number of channels of each feature map, shallow to deep.
        strides: stride of each feature map.
    """

    def __init__(self, channels: Sequence[int], strides: Sequence[int]) -> None:
        super().__init__()
        self.scale: nn.Module = nn.Identity()
        finest = float(strides[0])
        if len(strides) > 1 and len(set(strides)) == 1:
            self.scale = TokenPyramid(channels)
            finest = strides[0] / 2 ** (len(channels) - 2)
        above = max(0, math.floor(math.log2(finest)))
        skips = [*channels[-2::-1], *[0] * above]
        widths = [max(NARROWEST, WIDEST >> level) for level in range(len(skips))]
        inputs = [channels[-1], *widths[:-1]] if widths else []
        self.levels = nn.ModuleList(
            conv_pair(deep + skip, width, "batch", 2) for deep, skip, width in zip(inputs, skips, widths, strict=True)
        )
        self.channels = widths[-1] if widths else channels[-1]

    def forward(self, features: list[Tensor]) -> Tensor:
        """Return pixel features `(B, channels, h, w)` at the image's size, or less than twice as coarse."""
        features = self.scale(features)
        x = features[-1]
        for number, level in enumerate(self.levels):
            skipped = features[-2 - number] if number < len(features) - 1 else None
            size = skipped.shape[-2:] if skipped is not None else (2 * x.shape[-2], 2 * x.shape[-1])
            x = x if x.shape[-2:] == size else F.interpolate(x, size, mode="nearest")
            x = level(x if skipped is None else torch.cat([skipped, x], 1))
        return x


class TokenPyramid(nn.Module):
    """Maps of a single stride, scaled by factors of two: the last one halved, the one before as it is.

    Earlier maps pass one transposed convolution for each doubling (Bao et al. 2022, "BEiT", for UPerNet).

    Args:
        channels: number of channels of each map, shallow to deep; they do not change.
    """

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        last = len(channels) - 1
        self.scales = nn.ModuleList(_scale(width, last - 1 - level) for level, width in enumerate(channels))

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Return the scaled maps, finest first."""
        return [scale(each) for scale, each in zip(self.scales, features, strict=True)]


def _scale(channels: int, doublings: int) -> nn.Module:
    """Return a module that enlarges a map by a power of two, or halves it if `doublings` is negative."""
    if doublings < 0:
        return nn.MaxPool2d(2)
    layers: list[nn.Module] = []
    for number in range(doublings):
        layers += [nn.BatchNorm2d(channels), nn.GELU()] if number else []
        layers.append(nn.ConvTranspose2d(channels, channels, 2, 2))
    return nn.Sequential(*layers)
