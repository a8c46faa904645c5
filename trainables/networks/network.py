"""Segmentation networks: a backbone, a decoder and a head."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from trainables.networks.backbones import Backbone, BackboneSettings


class SegmentationNetwork(nn.Module):
    """Classifies every pixel.

    Attributes:
        backbone: the encoder, that pretext trains.
        decoder: from the backbone's features to pixel features, `decoder.channels` wide.
        head: the last, 1x1 convolution, to class scores.
    """

    def __init__(self, backbone: Backbone, decoder: nn.Module, classes: int) -> None:
        super().__init__()
        self.backbone, self.decoder = backbone, decoder
        self.head = nn.Conv2d(int(decoder.channels), classes, kernel_size=1)  # type: ignore[arg-type]

    def forward(self, images: Tensor) -> Tensor:
        """Logits `(B, classes, H, W)` of float images `(B, C, H, W)`."""
        logits: Tensor = self.head(self.decoder(self.backbone.features(images)))
        if logits.shape[-2:] != images.shape[-2:]:
            logits = F.interpolate(logits, images.shape[-2:], mode="bilinear", align_corners=False)
        return logits


@dataclass(frozen=True)
class NetworkSettings(ABC):
    """Settings that build a segmentation network.

    Attributes:
        backbone: the encoder's settings.
    """

    backbone: BackboneSettings

    @property
    def frames(self) -> int:
        """Frames of a sequence that the network sees at a time; 1 for images by themselves."""
        return 1

    @property
    def over_time(self) -> bool:
        """Whether it segments sequences as a whole."""
        return self.frames > 1

    @property
    def of_images(self) -> NetworkSettings:
        """The network of images by themselves whose pretrained weights start this one."""
        return self

    def adapted(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """Weights of `of_images`, or of its backbone, as this network's."""
        return weights

    @abstractmethod
    def build(self, in_channels: int, classes: int) -> SegmentationNetwork:
        """A network, its weights drawn from torch's global generator.

        Args:
            in_channels: of the images.
            classes: of the masks, background included.
        """
