"""Methods whose loss is a function of the embeddings of two views alone."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor, nn

from trainables.augment.policy import Policy
from trainables.data.store.frames import FrameStore
from trainables.networks.backbones import Backbone
from trainables.pretext.method import pooled
from trainables.pretext.two_views import TwoViewTask


class EmbeddingTask(TwoViewTask):
    """Trains a backbone and a projection head so that a loss of the embeddings of two augmented views falls."""

    def __init__(self, backbone: Backbone, projector: nn.Module, augment: Policy, store: FrameStore) -> None:
        super().__init__(backbone, augment, store)
        self.projector = projector

    @abstractmethod
    def compare(self, one: Tensor, two: Tensor, rows: Tensor, *, alone: bool = False) -> dict[str, Tensor]:
        """The `loss` of embeddings `(B, D)` of this worker's first and second views, and what else is worth knowing.

        `rows` are the images' in the frame store. In a group of workers it is that of the whole logical batch, unless
        `alone`.
        """

    def losses(self, embeddings: Tensor, targets: Tensor, rows: Tensor, *, alone: bool = False) -> dict[str, Tensor]:
        """The comparison of both views."""
        one, two = embeddings.chunk(2)
        return self.compare(one, two, rows, alone=alone)

    def encode(self, views: Tensor) -> Tensor:
        """Pooled features of both views, which go through the backbone together."""
        return torch.stack(pooled(self.backbone(views.flatten(0, 1))).chunk(2))

    def project(self, features: Tensor) -> Tensor:
        """Embeddings of both views, which go through the projection head together."""
        embeddings: Tensor = self.projector(features.flatten(0, 1))
        return embeddings


def widened(*embeddings: Tensor) -> list[Tensor]:
    """Embeddings in float32, or in float64 where they are: losses need more digits than half precision has."""
    return [z if z.dtype == torch.float64 else z.float() for z in embeddings]
