"""DeepLabV3 (Chen et al. 2017, section 3.3): atrous spatial pyramid pooling on a residual backbone."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor, nn

from trainables.networks.backbones import BackboneSettings
from trainables.networks.network import NetworkSettings, SegmentationNetwork
from trainables.networks.resnet import ResNet18, ResNet50, TinyResNet
from trainables.networks.torchvision_ops import torchvision

RESIDUAL = (ResNet50, ResNet18, TinyResNet)


@dataclass(frozen=True)
class DeepLabV3(NetworkSettings):
    """DeepLabV3.

    Attributes:
        backbone: a residual one.
        rates: dilation of the pyramid's 3x3 branches; 12, 24 and 36 are the paper's for stride 8.
        width: channels of each branch.
    """

    backbone: BackboneSettings = field(default_factory=ResNet50)
    rates: tuple[int, ...] = (12, 24, 36)
    width: int = 256

    def __post_init__(self) -> None:
        if not isinstance(self.backbone, RESIDUAL):
            raise ValueError("deeplabv3 requires a residual backbone: resnet50, resnet18 or resnet_tiny")
        if not self.rates or min(self.rates) < 1 or self.width < 1:
            raise ValueError(f"rates {self.rates}, width {self.width}: expected whole numbers from 1 up")

    def build(self, in_channels: int, classes: int) -> SegmentationNetwork:
        """The network."""
        backbone = self.backbone.build(in_channels)
        return SegmentationNetwork(backbone, Decoder(backbone.feature_channels, self.rates, self.width), classes)


class Decoder(nn.Module):
    """torchvision's pyramid and the 3x3 convolution that follows it, on the deepest features."""

    def __init__(self, in_channels: int, rates: tuple[int, ...], width: int) -> None:
        super().__init__()
        self.channels = width
        self.pyramid = torchvision().models.segmentation.deeplabv3.ASPP(in_channels, list(rates), width)
        self.fuse = nn.Sequential(nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU())

    def forward(self, features: list[Tensor]) -> Tensor:
        """`(B, width, h, w)` at the backbone's stride."""
        out: Tensor = self.fuse(self.pyramid(features[-1]))
        return out
