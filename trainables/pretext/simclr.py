"""SimCLR (Chen et al. 2020): contrast of two views of an image with all other images of the batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from trainables.augment.policy import Policy
from trainables.data.store.frames import FrameStore
from trainables.networks.backbones import Backbone
from trainables.pretext.method import BackboneMethod
from trainables.pretext.monitoring.signs import MATCHING, Sign
from trainables.pretext.parts.embedding_task import EmbeddingTask
from trainables.pretext.parts.nt_xent import nt_xent
from trainables.pretext.parts.projection import mlp


@dataclass(frozen=True)
class SimCLR(BackboneMethod):
    """Settings of SimCLR.

    Attributes:
        temperature: softmax temperature, above 0.
        hidden: width of the projection head's hidden layer; None for the backbone's feature channels.
        projection: embedding dimensions, from 2 up; 128 in the paper.
    """

    compares_views: ClassVar[bool] = True

    temperature: float = 0.1
    hidden: int | None = None
    projection: int = 128

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise ValueError(f"temperature is {self.temperature}, expected a number above 0")
        if self.projection < 2 or (self.hidden is not None and self.hidden < 1):
            raise ValueError(f"projection {self.projection}, hidden {self.hidden}: expected at least 2 and at least 1")

    @property
    def sign(self) -> Sign:
        """Views that find their partner in the batch."""
        return MATCHING

    def build(self, backbone: Backbone, augment: Policy, store: FrameStore) -> SimCLRTask:
        """Return the task that trains `backbone`."""
        width = backbone.feature_channels
        projector = mlp(width, self.hidden or width, self.projection, output_norm=True)
        return SimCLRTask(backbone, projector, augment, store, self.temperature)


class SimCLRTask(EmbeddingTask):
    """Training of a backbone and a projection head by NT-Xent over two augmented views."""

    def __init__(
        self, backbone: Backbone, projector: nn.Module, augment: Policy, store: FrameStore, temperature: float
    ) -> None:
        super().__init__(backbone, projector, augment, store)
        self.temperature = temperature

    def compare(self, one: Tensor, two: Tensor, rows: Tensor, *, local_only: bool = False) -> dict[str, Tensor]:
        """Return NT-Xent and the fraction of views whose nearest neighbour is their partner."""
        loss, accuracy = nt_xent(one, two, self.temperature, local_only=local_only)
        return {"loss": loss, "contrastive_accuracy": accuracy}
