"""UNet over time, rows and columns, for segmentations that change smoothly from frame to frame."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor, nn
from torch.nn import functional as F

from trainables.networks.backbones import Backbone, BackboneSettings
from trainables.networks.network import NetworkSettings, SegmentationNetwork
from trainables.networks.unet import UNet, UNetBackbone, UNetDecoder, UNetEncoder


@dataclass(frozen=True)
class UNet3D(NetworkSettings):
    """Settings of a UNet whose kernels are 3x3x3 over time, rows and columns; only rows and columns are halved.

    It can start from a 2D UNet's weights: they become the middle frame of each kernel, whose other frames start at
    zero, so that the network first segments each frame as the 2D one does.

    Attributes:
        backbone: settings of a `unet_encoder`, whose width, depth and norm are used.
        window: frames in a training window, from 3 up; 16 by default.
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
        """Number of frames that the network processes at a time."""
        return self.window

    @property
    def image_network(self) -> NetworkSettings:
        """Settings of the 2D UNet with equal width and depth, whose weights can start this network."""
        return UNet(self.backbone)

    def build(self, in_channels: int, classes: int) -> SegmentationNetwork:
        """Return a network for frames with `in_channels` channels and masks of `classes` classes."""
        assert isinstance(self.backbone, UNetEncoder)
        widths, norm = self.backbone.widths, self.backbone.norm
        encoder, decoder = UNetBackbone(in_channels, widths, norm, dims=3), UNetDecoder(widths, norm, dims=3)
        return SequenceSegmentationNetwork(encoder, decoder, classes)

    def adapt_weights(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return a 2D UNet's weights by name as weights of this network."""
        return {
            name: _inflate(value, frames=1 if ".up." in name or name.startswith("head.") else 3)
            for name, value in weights.items()
        }


class SequenceSegmentationNetwork(SegmentationNetwork):
    """Segmentation network that classifies every pixel of every frame of a sequence."""

    def __init__(self, backbone: Backbone, decoder: nn.Module, classes: int) -> None:
        super().__init__(backbone, decoder, classes)
        self.head = nn.Conv3d(int(decoder.channels), classes, kernel_size=1)  # type: ignore[arg-type,assignment]

    def forward(self, images: Tensor) -> Tensor:
        """Return logits `(B, classes, T, H, W)` for float images `(B, C, T, H, W)`."""
        logits: Tensor = self.head(self.decoder(self.backbone.features(images)))
        return logits


def _inflate(weight: Tensor, frames: int) -> Tensor:
    """Return a 2D kernel as the middle frame of one over 1 or 3 `frames`; return other weights unchanged."""
    if weight.ndim != 4:
        return weight
    return F.pad(weight.unsqueeze(2), (0, 0, 0, 0, frames // 2, frames // 2))
