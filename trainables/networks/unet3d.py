"""UNet over an image plane and time, for segmentations that go smoothly from frame to frame."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainables.networks.backbones import Backbone, BackboneSettings
from trainables.networks.network import NetworkSettings, SegmentationNetwork
from trainables.networks.unet import Norm, UNet, UNetEncoder

_NORMS: dict[Norm, Callable[[int], nn.Module]] = {
    "none": lambda channels: nn.Identity(),
    "batch": nn.BatchNorm3d,
    "instance": lambda channels: nn.InstanceNorm3d(channels, affine=True),
}


@dataclass(frozen=True)
class UNetTime(NetworkSettings):
    """UNet whose convolutions are 3x3x3 over rows, columns and time; only rows and columns are halved.

    A 2D UNet's weights fit it: they become the middle frame's part of each kernel, the rest of which starts at zero, so
    that the network first segments each frame as the 2D one would.

    Attributes:
        backbone: a unet_encoder, whose width, depth and norm are taken over.
        window: frames that are trained on at a time, from 3 up.
    """

    backbone: BackboneSettings = field(default_factory=UNetEncoder)
    window: int = 16

    def __post_init__(self) -> None:
        if not isinstance(self.backbone, UNetEncoder):
            raise ValueError("unet3d requires the backbone unet_encoder")
        if self.window < 3:
            raise ValueError(f"window is {self.window}, expected a whole number of frames from 3 up")

    @property
    def frames(self) -> int:
        """The window's."""
        return self.window

    @property
    def of_images(self) -> NetworkSettings:
        """A UNet of the same width and depth."""
        return UNet(self.backbone)

    def build(self, in_channels: int, classes: int) -> SegmentationNetwork:
        """The network."""
        assert isinstance(self.backbone, UNetEncoder)
        widths = tuple(self.backbone.width * 2**level for level in range(self.backbone.depth + 1))
        norm = self.backbone.norm
        return TimeNetwork(TimeEncoder(in_channels, widths, norm), TimeDecoder(widths, norm), classes)

    def adapted(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """A 2D UNet's weights as this network's."""
        return {
            name: _in_the_middle(value, ".up." in name or name.startswith("head.")) for name, value in weights.items()
        }


class TimeNetwork(SegmentationNetwork):
    """Classifies every pixel of every frame."""

    def __init__(self, backbone: Backbone, decoder: nn.Module, classes: int) -> None:
        super().__init__(backbone, decoder, classes)
        self.head = nn.Conv3d(int(decoder.channels), classes, kernel_size=1)  # type: ignore[arg-type,assignment]

    def forward(self, images: Tensor) -> Tensor:
        """Logits `(B, classes, T, H, W)` of float images `(B, C, T, H, W)`."""
        logits: Tensor = self.head(self.decoder(self.backbone.features(images)))
        return logits


class TimeEncoder(Backbone):
    """Pairs of 3x3x3 convolutions, halving rows and columns between the levels by max pooling."""

    def __init__(self, in_channels: int, widths: tuple[int, ...], norm: Norm) -> None:
        super().__init__()
        self.channels = widths
        inputs = (in_channels, *widths[:-1])
        self.levels = nn.ModuleList(_pair(i, o, norm) for i, o in zip(inputs, widths, strict=True))

    def stages(self) -> list[nn.Module]:
        """The levels."""
        return list(self.levels)

    def features(self, images: Tensor) -> list[Tensor]:
        """The outputs `(B, D, T, h, w)` of the levels, from stride 1 to 2**depth."""
        found: list[Tensor] = []
        for level in self.levels:
            found.append(level(F.max_pool3d(found[-1], (1, 2, 2)) if found else images))
        return found


class TimeDecoder(nn.Module):
    """Up-convolutions of each frame, each followed by the skipped features and a pair of 3x3x3 convolutions."""

    def __init__(self, widths: tuple[int, ...], norm: Norm) -> None:
        super().__init__()
        self.channels = widths[0]
        pairs = list(zip(widths[:0:-1], widths[-2::-1], strict=True))
        self.up = nn.ModuleList(nn.ConvTranspose3d(deep, shallow, (1, 2, 2), (1, 2, 2)) for deep, shallow in pairs)
        self.levels = nn.ModuleList(_pair(2 * shallow, shallow, norm) for _, shallow in pairs)

    def forward(self, features: list[Tensor]) -> Tensor:
        """`(B, channels, T, H, W)` at the images' size."""
        x = features[-1]
        for up, level, skipped in zip(self.up, self.levels, features[-2::-1], strict=True):
            x = up(x)
            if x.shape[-2:] != skipped.shape[-2:]:  # an odd size lost its last row or column when it was halved
                x = F.interpolate(x, skipped.shape[-3:], mode="nearest")
            x = level(torch.cat([skipped, x], 1))
        return x


def _pair(inputs: int, outputs: int, norm: Norm) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (inputs, outputs):
        conv = nn.Conv3d(channels, outputs, 3, padding=1, bias=norm == "none")
        nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
        if conv.bias is not None:
            nn.init.zeros_(conv.bias)
        layers += [conv, _NORMS[norm](outputs), nn.ReLU()]
    return nn.Sequential(*layers)


def _in_the_middle(weight: Tensor, single: bool) -> Tensor:
    """A kernel over rows and columns as one over time too, of one frame where `single`, else the middle of three."""
    if weight.ndim != 4:
        return weight
    return weight.unsqueeze(2) if single else F.pad(weight.unsqueeze(2), (0, 0, 0, 0, 1, 1))
