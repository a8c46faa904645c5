"""UNet (Ronneberger et al. 2015) in two or three dimensions, padded so that the output has the input's size.

The third dimension is time: kernels cover three frames, while only rows and columns are halved between the levels.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainables.networks.backbones import Backbone, BackboneSettings
from trainables.networks.network import NetworkSettings, SegmentationNetwork
from trainables.networks.pyramid_decoder import PyramidDecoder
from trainables.networks.unet_layers import LAYERS, Dims, Norm, conv_pair


@dataclass(frozen=True)
class UNetEncoder(BackboneSettings):
    """Settings of the UNet's contracting path.

    Attributes:
        width: channels of the first level, doubled at each further level; 64 in the paper and by default.
        depth: number of times that the image is halved, from 1 up; 4 in the paper and by default.
        norm: normalization after each convolution; none in the paper, batch norm by default.

    Example:
        >>> UNetEncoder(width=8, depth=2).build(in_channels=1).channels
        (8, 16, 32)
    """

    width: int = 64
    depth: int = 4
    norm: Norm = "batch"

    def __post_init__(self) -> None:
        if self.width < 1 or self.depth < 1:
            raise ValueError(f"width {self.width}, depth {self.depth}: expected whole numbers from 1 up")

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of each level, from the image's size down."""
        return tuple(self.width * 2**level for level in range(self.depth + 1))

    def build(self, in_channels: int) -> UNetBackbone:
        """Return a two-dimensional encoder for images with `in_channels` channels."""
        return UNetBackbone(in_channels, self.widths, self.norm)


@dataclass(frozen=True)
class UNet(NetworkSettings):
    """Settings of a UNet, whose expanding path has a skip connection at each level of the encoder.

    Attributes:
        backbone: settings of a `unet_encoder`, which the expanding path mirrors with its width, depth and norm, or of
            any other backbone, over which that path is 256 channels wide at its deepest level and half as wide at each
            further one, down to 16.

    Example:
        >>> network = UNet(UNetEncoder(width=8, depth=2)).build(in_channels=1, classes=3)
        >>> network(torch.zeros(2, 1, 32, 32)).shape
        torch.Size([2, 3, 32, 32])
    """

    backbone: BackboneSettings = field(default_factory=UNetEncoder)

    def build(self, in_channels: int, classes: int) -> SegmentationNetwork:
        """Return a network for images with `in_channels` channels and masks of `classes` classes."""
        encoder = self.backbone.build(in_channels)
        if isinstance(self.backbone, UNetEncoder):
            return SegmentationNetwork(encoder, UNetDecoder(self.backbone.widths, self.backbone.norm), classes)
        return SegmentationNetwork(encoder, PyramidDecoder(encoder.channels, encoder.strides), classes)


class UNetBackbone(Backbone):
    """Contracting path: pairs of convolutions, with rows and columns halved between the levels by max pooling.

    Args:
        in_channels: number of channels of the images.
        widths: channels of each level.
        norm: normalization after each convolution.
        dims: 2 for images, 3 for sequences of frames.
    """

    def __init__(self, in_channels: int, widths: tuple[int, ...], norm: Norm, dims: Dims = 2) -> None:
        super().__init__()
        self.channels, self._layers = widths, LAYERS[dims]
        self.strides = tuple(2**level for level in range(len(widths)))
        inputs = (in_channels, *widths[:-1])
        self.levels = nn.ModuleList(conv_pair(i, o, norm, dims) for i, o in zip(inputs, widths, strict=True))

    def stages(self) -> list[nn.Module]:
        """Return the levels, from the image's size down."""
        return list(self.levels)

    def features(self, images: Tensor) -> list[Tensor]:
        """Return each level's output `(B, D, [T,] h, w)`, from stride 1 to 2**depth."""
        found: list[Tensor] = []
        for level in self.levels:
            found.append(level(self._layers.pool(found[-1], self._layers.halving) if found else images))
        return found


class UNetDecoder(nn.Module):
    """Expanding path: up-convolutions, each followed by the skipped features and a pair of convolutions.

    Args:
        widths: channels of each level of the encoder.
        norm: normalization after each convolution.
        dims: 2 for images, 3 for sequences of frames.
    """

    def __init__(self, widths: tuple[int, ...], norm: Norm, dims: Dims = 2) -> None:
        super().__init__()
        self.channels, self._dims = widths[0], dims
        pairs = list(zip(widths[:0:-1], widths[-2::-1], strict=True))
        up_conv, halving = LAYERS[dims].up_conv, LAYERS[dims].halving
        self.up = nn.ModuleList(up_conv(deep, shallow, halving, halving) for deep, shallow in pairs)
        self.levels = nn.ModuleList(conv_pair(2 * shallow, shallow, norm, dims) for _, shallow in pairs)

    def forward(self, features: list[Tensor]) -> Tensor:
        """Return pixel features `(B, channels, [T,] H, W)` at the image's size."""
        x = features[-1]
        for up, level, skipped in zip(self.up, self.levels, features[-2::-1], strict=True):
            x = up(x)
            if x.shape[-2:] != skipped.shape[-2:]:  # an odd size lost its last row or column when it was halved
                x = F.interpolate(x, skipped.shape[-self._dims :], mode="nearest")
            x = level(torch.cat([skipped, x], 1))
        return x
