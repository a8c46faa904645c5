"""DeepLabV3 (Chen et al. 2017, section 3.3): atrous spatial pyramid pooling of a backbone's deepest features."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor, nn

from trainables.networks.backbones import BackboneSettings
from trainables.networks.network import NetworkSettings, SegmentationNetwork
from trainables.networks.resnet import ResNet50
from trainables.networks.torchvision_ops import torchvision


@dataclass(frozen=True)
class DeepLabV3(NetworkSettings):
    """Settings of a DeepLabV3.

    Attributes:
        backbone: settings of a backbone; the paper's ResNet-50 with stride 8 by default.
        rates: dilation rates of the pyramid's 3x3 branches, each from 1 up; the default is the paper's for stride 8.
        width: number of channels of each branch, from 1 up; 256 in the paper and by default.

    Example:
        >>> import torch
        >>> from trainables.networks.resnet import TinyResNet
        >>> network = DeepLabV3(TinyResNet(width=8), rates=(1, 2), width=16).build(in_channels=1, classes=3)
        >>> network(torch.zeros(2, 1, 32, 32)).shape
        torch.Size([2, 3, 32, 32])
    """

    backbone: BackboneSettings = field(default_factory=ResNet50)
    rates: tuple[int, ...] = (12, 24, 36)
    width: int = 256

    def __post_init__(self) -> None:
        if not self.rates or min(self.rates) < 1 or self.width < 1:
            raise ValueError(f"rates {self.rates}, width {self.width}: expected whole numbers from 1 up")

    def build(self, in_channels: int, classes: int) -> SegmentationNetwork:
        """Return a network for images with `in_channels` channels and masks of `classes` classes."""
        backbone = self.backbone.build(in_channels)
        return SegmentationNetwork(backbone, Decoder(backbone.feature_channels, self.rates, self.width), classes)


class Decoder(nn.Module):
    """Atrous spatial pyramid pooling of the deepest features, followed by a 3x3 convolution.

    Args:
        in_channels: number of channels of the deepest features.
        rates: dilation rates of the pyramid's 3x3 branches.
        width: number of channels of each branch and of the output.
    """

    def __init__(self, in_channels: int, rates: tuple[int, ...], width: int) -> None:
        super().__init__()
        self.channels = width
        self.pyramid = torchvision().models.segmentation.deeplabv3.ASPP(in_channels, list(rates), width)
        self.fuse = nn.Sequential(nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU())

    def forward(self, features: list[Tensor]) -> Tensor:
        """Return features `(B, width, h, w)` at the backbone's stride."""
        out: Tensor = self.fuse(self.pyramid(features[-1]))
        return out
