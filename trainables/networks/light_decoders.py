"""Segmentation networks with a light decoder, for the features of a ViT or to compare features by themselves."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainables.common.errors import UserError
from trainables.networks.backbones import BackboneSettings
from trainables.networks.network import NetworkSettings, SegmentationNetwork
from trainables.networks.resnet import ResNet50


@dataclass(frozen=True)
class Linear(NetworkSettings):
    """Settings of a linear read-out: batch norm and a 1x1 convolution (Oquab et al. 2023, "DINOv2", section 7.4).

    Attributes:
        backbone: settings of any backbone; ResNet-50 by default.
        levels: number of deepest feature maps that are read, at the size of the finest of them, from 1 up; 1, the
            default, is DINOv2's linear read-out, 4 maps of a ViT its multi-scale one.

    Example:
        >>> from trainables.networks.resnet import TinyResNet
        >>> network = Linear(TinyResNet(width=8), levels=2).build(in_channels=1, classes=3)
        >>> network(torch.zeros(2, 1, 32, 32)).shape
        torch.Size([2, 3, 32, 32])
    """

    backbone: BackboneSettings = field(default_factory=ResNet50)
    levels: int = 1

    def __post_init__(self) -> None:
        if self.levels < 1:
            raise ValueError(f"levels is {self.levels}, expected a whole number from 1 up")

    def build(self, in_channels: int, classes: int) -> SegmentationNetwork:
        """Return a network for images with `in_channels` channels and masks of `classes` classes.

        Raises:
            UserError: the backbone has fewer feature maps than are read.
        """
        backbone = self.backbone.build(in_channels)
        if self.levels > len(backbone.channels):
            most = len(backbone.channels)
            raise UserError(
                f"network.levels is {self.levels}, expected at most the {most} feature maps of the backbone"
            )
        return SegmentationNetwork(backbone, LinearDecoder(backbone.channels[-self.levels :]), classes)


class LinearDecoder(nn.Module):
    """Batch norm of the concatenated deepest feature maps.

    Args:
        channels: number of channels of each map that is read.
    """

    def __init__(self, channels: tuple[int, ...]) -> None:
        super().__init__()
        self._levels, self.channels = len(channels), sum(channels)
        self.norm = nn.BatchNorm2d(self.channels)

    def forward(self, features: list[Tensor]) -> Tensor:
        """Return normalized features `(B, channels, h, w)` at the size of the finest map that is read."""
        read = features[-self._levels :]
        size = read[0].shape[-2:]
        maps = [
            each if each.shape[-2:] == size else F.interpolate(each, size, mode="bilinear", align_corners=False)
            for each in read
        ]
        normalized: Tensor = self.norm(torch.cat(maps, 1))
        return normalized


@dataclass(frozen=True)
class Setr(NetworkSettings):
    """Settings of a progressively upsampling decoder (Zheng et al. 2021, "SETR-PUP") of the deepest features.

    Attributes:
        backbone: settings of any backbone; ResNet-50 by default.
        width: number of channels of each convolution, from 1 up; 256 in the paper and by default.

    Example:
        >>> from trainables.networks.resnet import TinyResNet
        >>> network = Setr(TinyResNet(width=8), width=8).build(in_channels=1, classes=3)
        >>> network(torch.zeros(2, 1, 32, 32)).shape
        torch.Size([2, 3, 32, 32])
    """

    backbone: BackboneSettings = field(default_factory=ResNet50)
    width: int = 256

    def __post_init__(self) -> None:
        if self.width < 1:
            raise ValueError(f"width is {self.width}, expected a whole number from 1 up")

    def build(self, in_channels: int, classes: int) -> SegmentationNetwork:
        """Return a network for images with `in_channels` channels and masks of `classes` classes."""
        backbone = self.backbone.build(in_channels)
        decoder = UpsamplingDecoder(backbone.feature_channels, backbone.strides[-1], self.width)
        return SegmentationNetwork(backbone, decoder, classes)


class UpsamplingDecoder(nn.Module):
    """Convolutions of kernel size 3, each followed by batch norm, ReLU and bilinear doubling.

    Args:
        in_channels: number of channels of the deepest features.
        stride: stride of the deepest features; its power of two is the number of doublings, at least one convolution.
        width: number of channels of each convolution.
    """

    def __init__(self, in_channels: int, stride: int, width: int) -> None:
        super().__init__()
        self.channels, self._doublings = width, math.floor(math.log2(stride))
        inputs = (in_channels, *[width] * (max(1, self._doublings) - 1))
        self.levels = nn.ModuleList(
            nn.Sequential(nn.Conv2d(each, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU())
            for each in inputs
        )

    def forward(self, features: list[Tensor]) -> Tensor:
        """Return pixel features `(B, width, h, w)`."""
        x = features[-1]
        for level in self.levels:
            x = level(x)
            if self._doublings:
                x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        return x
