"""The original UNet (Ronneberger et al. 2015), padded so that the output has the input's size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainables.networks.backbones import Backbone, BackboneSettings
from trainables.networks.network import NetworkSettings, SegmentationNetwork

Norm = Literal["none", "batch", "instance"]
_NORMS: dict[Norm, Callable[[int], nn.Module]] = {
    "none": lambda channels: nn.Identity(),
    "batch": nn.BatchNorm2d,
    "instance": lambda channels: nn.InstanceNorm2d(channels, affine=True),
}


@dataclass(frozen=True)
class UNetEncoder(BackboneSettings):
    """UNet's contracting path.

    Attributes:
        width: channels of the first level, doubled at each further one; 64 in the paper.
        depth: times the image is halved, from 1 up; 4 in the paper.
        norm: normalisation after each convolution; none in the paper.
    """

    width: int = 64
    depth: int = 4
    norm: Norm = "batch"

    def __post_init__(self) -> None:
        if self.width < 1 or self.depth < 1:
            raise ValueError(f"width {self.width}, depth {self.depth}: expected whole numbers from 1 up")

    def build(self, in_channels: int) -> Encoder:
        """The encoder."""
        return Encoder(in_channels, tuple(self.width * 2**level for level in range(self.depth + 1)), self.norm)


@dataclass(frozen=True)
class UNet(NetworkSettings):
    """UNet: the expanding path mirrors the encoder, with a skip connection at each level.

    Attributes:
        backbone: a unet_encoder, whose width, depth and norm the expanding path takes over.
    """

    backbone: BackboneSettings = field(default_factory=UNetEncoder)

    def __post_init__(self) -> None:
        if not isinstance(self.backbone, UNetEncoder):
            raise ValueError("unet requires the backbone unet_encoder")

    def build(self, in_channels: int, classes: int) -> SegmentationNetwork:
        """The network."""
        assert isinstance(self.backbone, UNetEncoder)
        encoder = self.backbone.build(in_channels)
        return SegmentationNetwork(encoder, Decoder(encoder.channels, self.backbone.norm), classes)


class Encoder(Backbone):
    """Pairs of 3x3 convolutions, halving between the levels by max pooling."""

    def __init__(self, in_channels: int, widths: tuple[int, ...], norm: Norm) -> None:
        super().__init__()
        self.channels = widths
        inputs = (in_channels, *widths[:-1])
        self.levels = nn.ModuleList(_pair(i, o, norm) for i, o in zip(inputs, widths, strict=True))

    def stages(self) -> list[nn.Module]:
        """The levels."""
        return list(self.levels)

    def features(self, images: Tensor) -> list[Tensor]:
        """The outputs of the levels, from stride 1 to 2**depth."""
        found: list[Tensor] = []
        for level in self.levels:
            found.append(level(F.max_pool2d(found[-1], 2) if found else images))
        return found


class Decoder(nn.Module):
    """Up-convolutions, each followed by the skipped features and a pair of 3x3 convolutions."""

    def __init__(self, widths: tuple[int, ...], norm: Norm) -> None:
        super().__init__()
        self.channels = widths[0]
        pairs = list(zip(widths[:0:-1], widths[-2::-1], strict=True))
        self.up = nn.ModuleList(nn.ConvTranspose2d(deep, shallow, 2, stride=2) for deep, shallow in pairs)
        self.levels = nn.ModuleList(_pair(2 * shallow, shallow, norm) for _, shallow in pairs)

    def forward(self, features: list[Tensor]) -> Tensor:
        """`(B, channels, H, W)` at the image's size."""
        x = features[-1]
        for up, level, skipped in zip(self.up, self.levels, features[-2::-1], strict=True):
            x = up(x)
            if x.shape[-2:] != skipped.shape[-2:]:  # an odd size lost its last row or column when it was halved
                x = F.interpolate(x, skipped.shape[-2:], mode="nearest")
            x = level(torch.cat([skipped, x], 1))
        return x


def _pair(inputs: int, outputs: int, norm: Norm) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (inputs, outputs):
        bias = norm == "none"
        conv = nn.Conv2d(channels, outputs, 3, padding=1, bias=bias)
        nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")  # the paper's section 3: deviation sqrt(2 / fan-in)
        if conv.bias is not None:
            nn.init.zeros_(conv.bias)
        layers += [conv, _NORMS[norm](outputs), nn.ReLU()]
    return nn.Sequential(*layers)
