"""A plain stack of convolutions, after VGG (Simonyan and Zisserman 2015)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from trainables.networks import BACKBONES
from trainables.networks.backbones import Backbone, BackboneSettings


@dataclass(frozen=True)
class PlainStack(BackboneSettings):
    """Settings of a plain stack of convolutions, halved between its three stages.

    Attributes:
        width: channels of the first stage, from 1 up; later stages have 2 and 4 times as many.
    """

    width: int = 16

    def __post_init__(self) -> None:
        if self.width < 1:
            raise ValueError(f"width is {self.width}, expected a whole number from 1 up")

    def build(self, in_channels: int) -> PlainBackbone:
        """Return a backbone for images with `in_channels` channels."""
        return PlainBackbone(in_channels, (self.width, 2 * self.width, 4 * self.width))


class PlainBackbone(Backbone):
    """Stages at strides 1, 2 and 4."""

    def __init__(self, in_channels: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.channels, self.strides = widths, (1, 2, 4)
        self.levels = nn.ModuleList(
            nn.Sequential(nn.Conv2d(i, o, 3, padding=1, bias=False), nn.BatchNorm2d(o), nn.ReLU())
            for i, o in zip((in_channels, *widths[:-1]), widths, strict=True)
        )

    def stages(self) -> list[nn.Module]:
        """Return the stages, shallow to deep."""
        return list(self.levels)

    def features(self, images: Tensor) -> list[Tensor]:
        """Return each stage's output."""
        found: list[Tensor] = []
        for level in self.levels:
            found.append(level(F.max_pool2d(found[-1], 2) if found else images))
        return found


BACKBONES.add("plain_stack", PlainStack)
