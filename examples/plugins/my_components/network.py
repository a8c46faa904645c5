"""A fully convolutional network (Long, Shelhamer and Darrell 2015), as FCN-8s: sums of three scales."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor, nn
from torch.nn import functional as F

from trainables.networks import NETWORKS
from trainables.networks.backbones import BackboneSettings
from trainables.networks.network import NetworkSettings, SegmentationNetwork

from .backbone import PlainStack


@dataclass(frozen=True)
class FCN(NetworkSettings):
    """Settings of a fully convolutional network over the three deepest scales of any backbone.

    Attributes:
        backbone: settings of a backbone.
        width: channels to which each scale is mapped, from 1 up.
    """

    backbone: BackboneSettings = field(default_factory=PlainStack)
    width: int = 16

    def __post_init__(self) -> None:
        if self.width < 1:
            raise ValueError(f"width is {self.width}, expected a whole number from 1 up")

    def build(self, in_channels: int, classes: int) -> SegmentationNetwork:
        """Return the network; its parts are `backbone`, `decoder` and `head`."""
        backbone = self.backbone.build(in_channels)
        return SegmentationNetwork(backbone, SumOfScales(backbone.channels[-3:], self.width), classes)


class SumOfScales(nn.Module):
    """Each scale mapped to equal channels, enlarged and added.

    Attributes:
        channels: channels of the result, which the network's head reads.
    """

    def __init__(self, channels: tuple[int, ...], width: int) -> None:
        super().__init__()
        self.channels = width
        self.maps = nn.ModuleList(nn.Conv2d(each, width, kernel_size=1) for each in channels)

    def forward(self, features: list[Tensor]) -> Tensor:
        """Return `(B, channels, h, w)` at the largest of the scales."""
        scales = [layer(each) for layer, each in zip(self.maps, features[-len(self.maps) :], strict=True)]
        out = scales[-1]
        for scale in scales[-2::-1]:
            out = scale + F.interpolate(out, scale.shape[-2:], mode="bilinear", align_corners=False)
        return out


NETWORKS.add("fcn", FCN)
