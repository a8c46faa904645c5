"""MoCo v3 (Chen, Xie and He 2021): contrast with an EMA target network's projections."""

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
from trainables.pretext.monitoring.signs import MATCHING, Sign
from trainables.pretext.parts.ema import EMATargetTask
from trainables.pretext.parts.embedding_task import at_least_float32
from trainables.pretext.parts.gather import first_row, gather
from trainables.pretext.parts.projection import mlp


@dataclass(frozen=True)
class MoCo(BackboneMethod):
    """Settings of MoCo v3, whose keys are the other images of the logical batch instead of a queue.

    The heads are the authors' for a ResNet: two layers each, and no batch norm after the predictor.

    Attributes:
        temperature: softmax temperature, above 0; 0.2 in the paper, 1 in the authors' ResNet-50 training.
        momentum: initial momentum of the EMA target network, in [0, 1]; it rises to 1 by a cosine. 0.99 in the paper,
            0.996 in the authors' ResNet-50 training of 1000 epochs.
        hidden: width of the hidden layers of projector and predictor; 4096 in the paper.
        projection: embedding dimensions, from 2 up; 256 in the paper.
    """

    compares_views: ClassVar[bool] = True

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

    @property
    def sign(self) -> Sign:
        """Views that find their partner in the batch."""
        return MATCHING

    def build(self, backbone: Backbone, augment: Policy, store: FrameStore) -> MoCoTask:
        """Return the task that trains `backbone`."""
        projector = mlp(backbone.feature_channels, self.hidden, self.projection, output_norm=True)
        predictor = mlp(self.projection, self.hidden, self.projection, output_norm=False)
        return MoCoTask(self, backbone, projector, predictor, augment, store)


class MoCoTask(EMATargetTask):
    """Contrast of predictions with the EMA target network's projections of the batch."""

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

    def compare(self, predicted: Tensor, targets: Tensor, *, local_only: bool = False) -> dict[str, Tensor]:
        """Return the sum of both views' InfoNCE, and the fraction of views whose nearest key is their own."""
        halves = zip(predicted.chunk(2), targets.chunk(2), strict=True)
        found = [info_nce(query, keys, self.temperature, local_only=local_only) for query, keys in halves]
        losses, hits = zip(*found, strict=True)
        return {"loss": torch.stack(losses).sum(), "contrastive_accuracy": torch.stack(hits).mean()}


def info_nce(query: Tensor, keys: Tensor, temperature: float, *, local_only: bool = False) -> tuple[Tensor, Tensor]:
    """Return 2 tau times the cross-entropy of finding each query's key among all (Chen et al. 2021, algorithm 1).

    Args:
        query: predictions `(B, D)` of one view.
        keys: target projections `(B, D)` of the other view; no gradient flows into them.
        temperature: softmax temperature tau, above 0.
        local_only: True for this worker's keys only; False for the keys of all workers.

    Returns:
        The mean over queries, in float32 or wider, and the fraction whose most similar key is their own.
    """
    with torch.autocast(query.device.type, enabled=False):
        wide_query, wide_keys = at_least_float32(query, keys.detach())
        every = wide_keys if local_only else gather(wide_keys)
        similarity = F.normalize(wide_query, dim=1) @ F.normalize(every, dim=1).T / temperature
        own = torch.arange(len(query), device=query.device) + (0 if local_only else first_row(query))
        loss = 2 * temperature * F.cross_entropy(similarity, own)
        return loss, (similarity.detach().argmax(1) == own).float().mean()
