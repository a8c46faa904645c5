"""Segmentation networks: a backbone, a decoder and a head."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from trainables.networks.backbones import Backbone, BackboneSettings


class SegmentationNetwork(nn.Module):
    """Network that classifies every pixel of an image.

    Attributes:
        backbone: encoder, which a pretext method can pretrain.
        decoder: module that returns `decoder.channels` features of each pixel from the backbone's features.
        head: last convolution, 1x1, which returns the logits.
    """

    def __init__(self, backbone: Backbone, decoder: nn.Module, classes: int) -> None:
        super().__init__()
        self.backbone, self.decoder = backbone, decoder
        self.head = nn.Conv2d(int(decoder.channels), classes, kernel_size=1)  # type: ignore[arg-type]

    def forward(self, images: Tensor) -> Tensor:
        """Return logits `(B, classes, H, W)` for float images `(B, C, H, W)`."""
        logits: Tensor = self.head(self.decoder(self.backbone.features(images)))
        if logits.shape[-2:] != images.shape[-2:]:
            logits = F.interpolate(logits, images.shape[-2:], mode="bilinear", align_corners=False)
        return logits


@dataclass(frozen=True)
class NetworkSettings(ABC):
    """Settings that build a segmentation network.

    Attributes:
        backbone: settings of the encoder.
    """

    backbone: BackboneSettings

    @property
    def frames(self) -> int:
        """Number of frames of a sequence that the network processes at a time; 1 for single images."""
        return 1

    @property
    def temporal(self) -> bool:
        """True if the network segments sequences of frames, False if it segments single images."""
        return self.frames > 1

    @property
    def trainer(self) -> str:
        """Name of the segmentation trainer that trains this network, "torch" for this package's training loop."""
        return "torch"

    @property
    def image_network(self) -> NetworkSettings:
        """Settings of the network for single images whose pretrained weights can start this network."""
        return self

    def adapt_weights(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return weights of `image_network`, or of its backbone, as weights of this network."""
        return weights

    @abstractmethod
    def build(self, in_channels: int, classes: int) -> SegmentationNetwork:
        """Return a network whose weights are drawn from torch's global random generator.

        Args:
            in_channels: number of channels of the images.
            classes: number of classes of the masks, background included.
        """
