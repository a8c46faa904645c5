"""Residual backbones (He et al. 2016), optionally dilated for dense prediction (Chen et al. 2017)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from trainables.networks.backbones import Backbone, BackboneSettings
from trainables.networks.torchvision_ops import torchvision


class ResNet(Backbone):
    """Torchvision's residual network without its classifier; parameters keep torchvision's names.

    Args:
        net: torchvision network whose layers are used.
        in_channels: number of channels of the images; the first convolution is replaced unless there are three.
    """

    conv1: nn.Conv2d
    layer1: nn.Sequential

    def __init__(self, net: Any, in_channels: int) -> None:
        super().__init__()
        self.conv1, self.bn1, self.relu, self.maxpool = net.conv1, net.bn1, net.relu, net.maxpool
        self.layer1, self.layer2, self.layer3, self.layer4 = net.layer1, net.layer2, net.layer3, net.layer4
        if in_channels != self.conv1.in_channels:
            width = self.conv1.out_channels
            self.conv1 = nn.Conv2d(in_channels, width, kernel_size=7, stride=2, padding=3, bias=False)
            nn.init.kaiming_normal_(self.conv1.weight, mode="fan_out", nonlinearity="relu")
        layers = (self.layer1, self.layer2, self.layer3, self.layer4)
        self.channels = tuple(_width(layer) for layer in layers)
        self.strides = tuple(4 * math.prod(_stride(each) for each in layers[: depth + 1]) for depth in range(4))

    def stages(self) -> list[nn.Module]:
        """Return the first convolution and the four residual stages."""
        stem = nn.ModuleList([self.conv1, self.bn1])
        return [stem, self.layer1, self.layer2, self.layer3, self.layer4]

    def features(self, images: Tensor) -> list[Tensor]:
        """Return the outputs of the four stages, at strides 4, 8, 16 and 32, or 4, 8, 8 and 8 if dilated."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        found = []
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = layer(x)
            found.append(x)
        return found


@dataclass(frozen=True)
class ResNet50(BackboneSettings):
    """Settings of a ResNet-50.

    Attributes:
        dilated: True, the default, keeps stride 8 by atrous convolutions in the last two stages, as in DeepLabV3; False
            is stride 32.
    """

    dilated: bool = True

    def build(self, in_channels: int) -> ResNet:
        """Return torchvision's ResNet-50 for images with `in_channels` channels."""
        net = torchvision().models.resnet50(replace_stride_with_dilation=[False, self.dilated, self.dilated])
        return ResNet(net, in_channels)


@dataclass(frozen=True)
class ResNet18(BackboneSettings):
    """Settings of a ResNet-18, at stride 32, as torchvision's basic blocks cannot be dilated."""

    def build(self, in_channels: int) -> ResNet:
        """Return torchvision's ResNet-18 for images with `in_channels` channels."""
        return ResNet(torchvision().models.resnet18(), in_channels)


@dataclass(frozen=True)
class TinyResNet(BackboneSettings):
    """Settings of a small residual network for laptops, tests and the quick start.

    Attributes:
        width: channels of the first stage, from 4 up, 16 by default; later stages have 2, 4 and 4 times as many.
        dilated: True, the default, keeps stride 8 by atrous convolutions in the last stage; False is stride 16.

    Example:
        >>> TinyResNet(width=8).build(in_channels=1).channels
        (8, 16, 32, 32)
    """

    width: int = 16
    dilated: bool = True

    def __post_init__(self) -> None:
        if self.width < 4:
            raise ValueError(f"width {self.width}: expected a whole number from 4 up")

    def build(self, in_channels: int) -> TinyBackbone:
        """Return a small residual network for images with `in_channels` channels."""
        return TinyBackbone(in_channels, self.width, self.dilated)


class TinyBackbone(Backbone):
    """Residual network of four stages with one block each, at strides 2, 4, 8 and 16, or 2, 4, 8 and 8 if dilated."""

    def __init__(self, in_channels: int, width: int, dilated: bool = True) -> None:
        super().__init__()
        self.channels = (width, 2 * width, 4 * width, 4 * width)
        self.strides = (2, 4, 8, 8 if dilated else 16)
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, width, 5, stride=2, padding=2, bias=False), nn.BatchNorm2d(width), nn.ReLU()
        )
        self.stage1 = _Block(width, width)
        self.stage2 = _Block(width, 2 * width, stride=2)
        self.stage3 = _Block(2 * width, 4 * width, stride=2)
        self.stage4 = _Block(4 * width, 4 * width, **({"dilation": 2} if dilated else {"stride": 2}))

    def stages(self) -> list[nn.Module]:
        """Return the first convolution and the four residual stages."""
        return [self.stem, self.stage1, self.stage2, self.stage3, self.stage4]

    def features(self, images: Tensor) -> list[Tensor]:
        """Return the outputs of the four stages, shallow to deep."""
        x = self.stem(images)
        found = []
        for stage in (self.stage1, self.stage2, self.stage3, self.stage4):
            x = stage(x)
            found.append(x)
        return found


class _Block(nn.Module):
    """Residual block of two 3x3 convolutions and a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, dilation, dilation, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, dilation, dilation, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU()
        same_shape = stride == 1 and inputs == outputs
        self.shortcut: nn.Module = (
            nn.Identity()
            if same_shape
            else nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        )

    def forward(self, x: Tensor) -> Tensor:
        branch = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        out: Tensor = self.relu(branch + self.shortcut(x))
        return out


def _stride(layer: nn.Sequential) -> int:
    """Return the stride of a stage of torchvision's network."""
    return int(layer[0].downsample[0].stride[0]) if layer[0].downsample is not None else 1  # type: ignore[index]


def _width(layer: nn.Sequential) -> int:
    """Return the number of output channels of a stage of torchvision's network."""
    last: Any = layer[-1]
    conv = last.conv3 if hasattr(last, "conv3") else last.conv2
    return int(conv.out_channels)
