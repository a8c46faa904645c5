"""Base task of methods whose loss depends only on the embeddings of two views."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor, nn

from trainables.augment.policy import Policy
from trainables.data.store.frames import FrameStore
from trainables.networks.backbones import Backbone
from trainables.pretext.method import global_average_pool
from trainables.pretext.two_views import TwoViewTask


class EmbeddingTask(TwoViewTask):
    """Training of a backbone and a projection head by a loss of the embeddings of two augmented views."""

    def __init__(self, backbone: Backbone, projector: nn.Module, augment: Policy, store: FrameStore) -> None:
        super().__init__(backbone, augment, store)
        self.projector = projector

    @abstractmethod
    def compare(self, one: Tensor, two: Tensor, rows: Tensor, *, local_only: bool = False) -> dict[str, Tensor]:
        """Return the `loss` of this worker's embeddings and further metrics.

        Args:
            one: embeddings `(B, D)` of the first views.
            two: embeddings `(B, D)` of the second views.
            rows: row numbers `(B,)` of the images in the frame store.
            local_only: True for this worker's views only; False for the loss of the whole logical batch.
        """

    def losses(
        self, embeddings: Tensor, targets: Tensor, rows: Tensor, *, local_only: bool = False
    ) -> dict[str, Tensor]:
        """Return the loss of both views' embeddings."""
        one, two = embeddings.chunk(2)
        return self.compare(one, two, rows, local_only=local_only)

    def encode(self, views: Tensor) -> Tensor:
        """Return pooled features of both views, which pass through the backbone together."""
        return torch.stack(global_average_pool(self.backbone(views.flatten(0, 1))).chunk(2))

    def project(self, features: Tensor) -> Tensor:
        """Return embeddings of both views, which pass through the projection head together."""
        embeddings: Tensor = self.projector(features.flatten(0, 1))
        return embeddings


def at_least_float32(*embeddings: Tensor) -> list[Tensor]:
    """Return embeddings in float32, or float64 where given: half precision is too coarse for the losses."""
    return [z if z.dtype == torch.float64 else z.float() for z in embeddings]
