"""MoCo v3 (Chen, Xie and He 2021): contrast against a slowly moving copy of oneself."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainables.augment.policy import Policy
from trainables.data.store.frames import FrameStore
from trainables.networks.backbones import Backbone
from trainables.pretext.method import BackboneMethod
from trainables.pretext.monitoring.embedding import widened
from trainables.pretext.parts.ema import MomentumTask
from trainables.pretext.parts.gather import first_row, gather
from trainables.pretext.parts.projection import mlp


@dataclass(frozen=True)
class MoCo(BackboneMethod):
    """MoCo v3, which needs no queue: the keys are the other images of the logical batch.

    The heads are those that the authors' program gives a ResNet: two layers each, and no batch norm after the
    predictor.

    Attributes:
        temperature: of the softmax, above 0; 0.2 in the paper, and 1 where the authors train a ResNet-50.
        momentum: of the target at the start, in [0, 1]; it rises to 1 by a cosine. 0.99 in the paper, and 0.996 where
            the authors train a ResNet-50 for 1000 epochs.
        hidden: width of the hidden layers of projector and predictor; 4096 in the paper.
        projection: dimensions of the embeddings, from 2 up; 256 in the paper.
    """

    temperature: float = 0.2
    momentum: float = 0.99
    hidden: int = 4096
    projection: int = 256

    def __post_init__(self) -> None:
        if not self.temperature > 0 or not 0 <= self.momentum <= 1:
            raise ValueError(
                f"temperature {self.temperature}, momentum {self.momentum}: expected above 0 and in [0, 1]"
            )
        if self.hidden < 1 or self.projection < 2:
            raise ValueError(f"hidden {self.hidden}, projection {self.projection}: expected at least 1 and at least 2")

    def build(self, backbone: Backbone, augment: Policy, store: FrameStore) -> MoCoTask:
        """The task."""
        projector = mlp(backbone.feature_channels, self.hidden, self.projection, output_norm=True)
        predictor = mlp(self.projection, self.hidden, self.projection, output_norm=False)
        return MoCoTask(self, backbone, projector, predictor, augment, store)


class MoCoTask(MomentumTask):
    """Finds the target's projection of the other view among those of the batch."""

    def __init__(
        self,
        settings: MoCo,
        backbone: Backbone,
        projector: nn.Module,
        predictor: nn.Module,
        augment: Policy,
        store: FrameStore,
    ) -> None:
        super().__init__(backbone, projector, predictor, settings.momentum, augment, store)
        self.temperature = settings.temperature

    def compare(self, predicted: Tensor, targets: Tensor, *, alone: bool = False) -> dict[str, Tensor]:
        """The sum of both views' InfoNCE, and the share of views whose own key is the nearest."""
        halves = zip(predicted.chunk(2), targets.chunk(2), strict=True)
        found = [info_nce(query, keys, self.temperature, alone=alone) for query, keys in halves]
        losses, hits = zip(*found, strict=True)
        return {"loss": torch.stack(losses).sum(), "contrastive_accuracy": torch.stack(hits).mean()}


def info_nce(query: Tensor, keys: Tensor, temperature: float, *, alone: bool = False) -> tuple[Tensor, Tensor]:
    """2 tau times the cross-entropy of finding each query's key among all (Chen et al. 2021, algorithm 1).

    Args:
        query: predictions `(B, D)` of one view.
        keys: the target's projections of the other view, row by row; no gradient flows into them.
        temperature: tau, above 0.
        alone: use this worker's keys only; else all workers' are used.

    Returns:
        The mean over queries, in float32 or wider, and the share whose own key is the most similar.
    """
    with torch.autocast(query.device.type, enabled=False):
        wide_query, wide_keys = widened(query, keys.detach())
        every = wide_keys if alone else gather(wide_keys)
        similarity = F.normalize(wide_query, dim=1) @ F.normalize(every, dim=1).T / temperature
        own = torch.arange(len(query), device=query.device) + (0 if alone else first_row(query))
        loss = 2 * temperature * F.cross_entropy(similarity, own)
        return loss, (similarity.detach().argmax(1) == own).float().mean()
