"""Barlow Twins (Zbontar et al. 2021): cross-correlation of the two views' dimensions towards the identity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainables.augment.policy import Policy
from trainables.data.store.frames import FrameStore
from trainables.networks.backbones import Backbone
from trainables.pretext.method import BackboneMethod
from trainables.pretext.monitoring.signs import PARTNER, Sign
from trainables.pretext.parts.embedding_task import EmbeddingTask, at_least_float32
from trainables.pretext.parts.gather import gather
from trainables.pretext.parts.projection import mlp


@dataclass(frozen=True)
class BarlowTwins(BackboneMethod):
    """Settings of Barlow Twins.

    Attributes:
        redundancy: weight lambda of the correlations between different dimensions, from 0 up; 0.005 in the paper.
        projection: width of the projector's three layers, the last of which gives the embeddings, from 2 up; 8192 in
            the paper.
    """

    compares_views: ClassVar[bool] = True

    redundancy: float = 5e-3
    projection: int = 2048

    def __post_init__(self) -> None:
        if self.redundancy < 0 or self.projection < 2:
            raise ValueError(
                f"redundancy {self.redundancy}, projection {self.projection}: expected at least 0 and at least 2"
            )

    @property
    def sign(self) -> Sign:
        """Views whose partner is nearer than an unrelated view."""
        return PARTNER

    def build(self, backbone: Backbone, augment: Policy, store: FrameStore) -> BarlowTask:
        """Return the task that trains `backbone`."""
        width = self.projection
        projector = mlp(backbone.feature_channels, width, width, output_norm=False, hidden_layers=2)
        return BarlowTask(backbone, projector, augment, store, self.redundancy)


class BarlowTask(EmbeddingTask):
    """Training of a backbone and a projector towards an identity cross-correlation of the views."""

    def __init__(
        self, backbone: Backbone, projector: nn.Module, augment: Policy, store: FrameStore, redundancy: float
    ) -> None:
        super().__init__(backbone, projector, augment, store)
        self.redundancy = redundancy

    def compare(self, one: Tensor, two: Tensor, rows: Tensor, *, local_only: bool = False) -> dict[str, Tensor]:
        """Return the Barlow Twins loss."""
        return {"loss": barlow_loss(one, two, self.redundancy, local_only=local_only)}


def barlow_loss(one: Tensor, two: Tensor, redundancy: float, *, local_only: bool = False) -> Tensor:
    """Return the squared distance of the cross-correlation from the identity (Zbontar et al. 2021, equations 1 and 2).

    The correlation is over the whole logical batch. As in the authors' code 1e-5 is added to the variances, so that a
    constant dimension has zero correlation instead of amplified rounding errors.

    Args:
        one: embeddings `(B, D)` of this worker's first views.
        two: embeddings `(B, D)` of its second views.
        redundancy: weight lambda of the off-diagonal terms.
        local_only: True for this worker's views only; False for those of all workers.
    """
    with torch.autocast(one.device.type, enabled=False):
        wide = at_least_float32(one, two)
        views = wide if local_only else [gather(view) for view in wide]
        scaled = [F.batch_norm(view, None, None, training=True) for view in views]
        correlation = scaled[0].T @ scaled[1] / len(scaled[0])
        diagonal = correlation.diagonal()
        return (1 - diagonal).square().sum() + redundancy * (correlation.square().sum() - diagonal.square().sum())
