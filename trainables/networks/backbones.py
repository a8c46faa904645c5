"""Backbones: the encoders that pretext trains and downstream starts from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor, nn


class Backbone(nn.Module, ABC):
    """An encoder of images.

    Attributes:
        channels: number of channels of each feature map that `features` returns, shallow to deep.
        strides: rows and columns of the image for one of each feature map, shallow to deep.
    """

    channels: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def feature_channels(self) -> int:
        """Number of channels of the deepest feature map."""
        return self.channels[-1]

    @abstractmethod
    def stages(self) -> list[nn.Module]:
        """Return the backbone's stages, shallow to deep; together they contain all its parameters."""

    def masked_modules(self) -> list[nn.Module]:
        """Return the modules whose outputs masked modelling sets to zero in masked patches, by default each stage's.

        None for a network whose layers mix distant pixels anyway, such as a ViT: it sees the masked image alone.
        """
        return [stage[-1] if isinstance(stage, nn.ModuleList) else stage for stage in self.stages()]

    def published_name(self, name: str) -> str:
        """Return the name under which an entry of the state dict is published, by default its own."""
        return name

    @abstractmethod
    def features(self, images: Tensor) -> list[Tensor]:
        """Return feature maps of float images `(B, C, H, W)`, each `(B, channels[i], h_i, w_i)`, shallow to deep."""

    def forward(self, images: Tensor) -> Tensor:
        """Return the deepest feature map `(B, feature_channels, h, w)` of float images `(B, C, H, W)`."""
        return self.features(images)[-1]


@dataclass(frozen=True)
class BackboneSettings(ABC):
    """Settings that build a backbone."""

    @abstractmethod
    def build(self, in_channels: int) -> Backbone:
        """Return a backbone for images with `in_channels` channels, its weights drawn from torch's global generator."""
