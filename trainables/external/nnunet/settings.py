"""nnU-Net's place among the networks."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from trainables.common.errors import UserError
from trainables.networks.backbones import BackboneSettings
from trainables.networks.network import NetworkSettings, SegmentationNetwork
from trainables.networks.unet import UNetEncoder


@dataclass(frozen=True)
class NnUNet(NetworkSettings):
    """nnU-Net plans its own network, patches, augmentation, loss, optimizer and schedule.

    Of the downstream settings it takes the labelled subjects, views, targets, folds and `fit.epochs`; it starts from
    random weights or a checkpoint of its own. It needs the package nnunetv2 (the extra `nnunet`).

    Attributes:
        configuration: "2d" segments frames, "3d_fullres" sequences or volumes.
        iterations: training steps of an epoch, from 1 up; 250 are nnU-Net's own.
        mirror: axes that are mirrored in training and when predicting: "space" for rows and columns, "all" for time or
            slices too, "none".
    """

    backbone: BackboneSettings = field(default_factory=UNetEncoder, init=False)
    configuration: Literal["2d", "3d_fullres"] = "2d"
    iterations: int = 250
    mirror: Literal["none", "space", "all"] = "space"

    def __post_init__(self) -> None:
        if self.iterations < 1:
            raise ValueError(f"iterations is {self.iterations}, expected a whole number from 1 up")

    def shortened(self) -> NnUNet:
        """Return the settings of a rehearsal, with one training step in an epoch."""
        return replace(self, iterations=1)

    @property
    def temporal(self) -> bool:
        """True if nnU-Net segments sequences or volumes."""
        return self.configuration == "3d_fullres"

    @property
    def trainer(self) -> str:
        """Name of nnU-Net's segmentation trainer."""
        return "nnunet"

    @property
    def axes(self) -> tuple[int, ...]:
        """Axes to mirror; the first of three is time or slice."""
        space = (1, 2) if self.temporal else (0, 1)
        return {"none": (), "space": space, "all": (0, *space) if self.temporal else space}[self.mirror]

    def build(self, in_channels: int, classes: int) -> SegmentationNetwork:
        """Refuse to build: nnU-Net plans the network from the data.

        Raises:
            UserError: on every call.
        """
        raise UserError("network: nnunet builds its own and cannot be pretrained; expected pretext.method: random")
