"""SimCLR (Chen et al. 2020): agreement of two views of an image against all other images of the batch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainables.augment.policy import Policy
from trainables.data.frames import FrameStore
from trainables.networks.backbones import Backbone
from trainables.pretext.embedding import EmbeddingTask, widened
from trainables.pretext.gather import first_row, gather
from trainables.pretext.method import BackboneMethod
from trainables.pretext.projection import mlp


@dataclass(frozen=True)
class SimCLR(BackboneMethod):
    """SimCLR.

    Attributes:
        temperature: of the softmax, above 0.
        hidden: width of the projection head's hidden layer; None takes the backbone's feature channels.
        projection: dimensions of the embeddings, from 2 up; 128 in the paper.
    """

    temperature: float = 0.1
    hidden: int | None = None
    projection: int = 128

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise ValueError(f"temperature is {self.temperature}, expected a number above 0")
        if self.projection < 2 or (self.hidden is not None and self.hidden < 1):
            raise ValueError(f"projection {self.projection}, hidden {self.hidden}: expected at least 2 and at least 1")

    def build(self, backbone: Backbone, augment: Policy, store: FrameStore) -> SimCLRTask:
        """The task."""
        width = backbone.feature_channels
        projector = mlp(width, self.hidden or width, self.projection, output_norm=True)
        return SimCLRTask(backbone, projector, augment, store, self.temperature)


class SimCLRTask(EmbeddingTask):
    """Trains a backbone and a projection head by NT-Xent over two augmented views."""

    def __init__(
        self, backbone: Backbone, projector: nn.Module, augment: Policy, store: FrameStore, temperature: float
    ) -> None:
        super().__init__(backbone, projector, augment, store)
        self.temperature = temperature

    def compare(self, one: Tensor, two: Tensor, rows: Tensor, *, alone: bool = False) -> dict[str, Tensor]:
        """NT-Xent and the share of views whose partner is the nearest of all."""
        loss, accuracy = nt_xent(one, two, self.temperature, alone=alone)
        return {"loss": loss, "contrastive_accuracy": accuracy}


def nt_xent(one: Tensor, two: Tensor, temperature: float, *, alone: bool = False) -> tuple[Tensor, Tensor]:
    """The normalised temperature-scaled cross-entropy loss (Chen et al. 2020, equation 1).

    Each of the 2 N views has to find its partner among the other 2 N - 1 views, by cosine similarity. In a group of
    workers N counts the images of all, and the mean of the workers' losses is the loss of the whole batch.

    Args:
        one: embeddings `(B, D)` of this worker's first views.
        two: of its second views.
        temperature: above 0.
        alone: look at this worker's views only.

    Returns:
        The mean over this worker's 2 B views, in float32 or wider, and the share whose partner is the most similar.
    """
    with torch.autocast(one.device.type, enabled=False):
        one, two = (F.normalize(z, dim=1) for z in widened(one, two))
        every_one, every_two = (one, two) if alone else (gather(one), gather(two))
        every = torch.cat([every_one, every_two])
        images = len(every_one)
        own = torch.arange(len(one), device=one.device) + (0 if alone else first_row(one))
        partner = torch.cat([own + images, own])
        similarity = torch.cat([one, two]) @ every.T / temperature
        itself = torch.cat([own, own + images])
        similarity = similarity.scatter(1, itself.unsqueeze(1), float("-inf"))
        loss = F.cross_entropy(similarity, partner)
        accuracy = (similarity.detach().argmax(1) == partner).float().mean()
    return loss, accuracy
