"""UNet (Ronneberger et al. 2015) in two or three dimensions, padded so that the output has the input's size.

The third dimension is time: kernels cover three frames, while only rows and columns are halved between the levels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainables.networks.backbones import Backbone, BackboneSettings
from trainables.networks.network import NetworkSettings, SegmentationNetwork

Norm = Literal["none", "batch", "instance"]
"""Normalization after each convolution."""

Dims = Literal[2, 3]
"""Dimensions of a convolution: rows and columns, or time, rows and columns."""


@dataclass(frozen=True)
class _Layers:
    """Layer classes of two or three dimensions.

    Attributes:
        conv: convolution class.
        up_conv: transposed convolution class.
        norms: constructors of a normalization layer from its number of channels.
        pool: max pooling function.
        halving: kernel size and stride that halve rows and columns.
    """

    conv: type[nn.Conv2d] | type[nn.Conv3d]
    up_conv: type[nn.ConvTranspose2d] | type[nn.ConvTranspose3d]
    norms: Mapping[Norm, Callable[[int], nn.Module]]
    pool: Callable[..., Tensor]
    halving: Any


_LAYERS: Mapping[Dims, _Layers] = {
    2: _Layers(
        nn.Conv2d,
        nn.ConvTranspose2d,
        {
            "none": lambda channels: nn.Identity(),
            "batch": nn.BatchNorm2d,
            "instance": lambda channels: nn.InstanceNorm2d(channels, affine=True),
        },
        F.max_pool2d,
        (2, 2),
    ),
    3: _Layers(
        nn.Conv3d,
        nn.ConvTranspose3d,
        {
            "none": lambda channels: nn.Identity(),
            "batch": nn.BatchNorm3d,
            "instance": lambda channels: nn.InstanceNorm3d(channels, affine=True),
        },
        F.max_pool3d,
        (1, 2, 2),
    ),
}


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
    """Settings of a UNet, whose expanding path mirrors the encoder with a skip connection at each level.

    Attributes:
        backbone: settings of a `unet_encoder`; the expanding path has its width, depth and norm.

    Example:
        >>> network = UNet(UNetEncoder(width=8, depth=2)).build(in_channels=1, classes=3)
        >>> network(torch.zeros(2, 1, 32, 32)).shape
        torch.Size([2, 3, 32, 32])
    """

    backbone: BackboneSettings = field(default_factory=UNetEncoder)

    def __post_init__(self) -> None:
        if not isinstance(self.backbone, UNetEncoder):
            raise ValueError("unet requires the backbone unet_encoder")

    def build(self, in_channels: int, classes: int) -> SegmentationNetwork:
        """Return a network for images with `in_channels` channels and masks of `classes` classes."""
        assert isinstance(self.backbone, UNetEncoder)
        encoder = self.backbone.build(in_channels)
        return SegmentationNetwork(encoder, UNetDecoder(self.backbone.widths, self.backbone.norm), classes)


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
        self.channels, self._layers = widths, _LAYERS[dims]
        inputs = (in_channels, *widths[:-1])
        self.levels = nn.ModuleList(_conv_pair(i, o, norm, dims) for i, o in zip(inputs, widths, strict=True))

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
        up_conv, halving = _LAYERS[dims].up_conv, _LAYERS[dims].halving
        self.up = nn.ModuleList(up_conv(deep, shallow, halving, halving) for deep, shallow in pairs)
        self.levels = nn.ModuleList(_conv_pair(2 * shallow, shallow, norm, dims) for _, shallow in pairs)

    def forward(self, features: list[Tensor]) -> Tensor:
        """Return pixel features `(B, channels, [T,] H, W)` at the image's size."""
        x = features[-1]
        for up, level, skipped in zip(self.up, self.levels, features[-2::-1], strict=True):
            x = up(x)
            if x.shape[-2:] != skipped.shape[-2:]:  # an odd size lost its last row or column when it was halved
                x = F.interpolate(x, skipped.shape[-self._dims :], mode="nearest")
            x = level(torch.cat([skipped, x], 1))
        return x


def _conv_pair(inputs: int, outputs: int, norm: Norm, dims: Dims) -> nn.Sequential:
    """Return two convolutions of kernel size 3, each followed by normalization and ReLU."""
    layers: list[nn.Module] = []
    for channels in (inputs, outputs):
        conv = _LAYERS[dims].conv(channels, outputs, 3, padding=1, bias=norm == "none")
        nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")  # the paper's section 3: deviation sqrt(2 / fan-in)
        if conv.bias is not None:
            nn.init.zeros_(conv.bias)
        layers += [conv, _LAYERS[dims].norms[norm](outputs), nn.ReLU()]
    return nn.Sequential(*layers)
