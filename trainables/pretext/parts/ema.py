"""Base task of methods with an EMA target network."""

from __future__ import annotations

import copy
import math
from abc import abstractmethod

import torch
from torch import Tensor, nn

from trainables.augment.policy import Policy
from trainables.data.store.frames import FrameStore
from trainables.networks.backbones import Backbone
from trainables.pretext.method import global_average_pool
from trainables.pretext.monitoring.embedding_metrics import embedding_metrics
from trainables.pretext.two_views import TwoViewTask


class EMATargetTask(TwoViewTask):
    """Training of backbone, projector and predictor towards the EMA target's projection of the other view.

    Each view passes through the networks separately, so that batch norm sees one view at a time. The target's batch
    norm uses the statistics of its own batch, as the online network's does; the moving average covers weights only, not
    running statistics.
    """

    def __init__(
        self,
        backbone: Backbone,
        projector: nn.Module,
        predictor: nn.Module,
        momentum: float,
        augment: Policy,
        store: FrameStore,
    ) -> None:
        super().__init__(backbone, augment, store)
        self.momentum, self.projector, self.predictor = momentum, projector, predictor
        self.target = nn.ModuleList([copy.deepcopy(self.backbone), copy.deepcopy(self.projector)])
        self.target.requires_grad_(False)

    @abstractmethod
    def compare(self, predicted: Tensor, targets: Tensor, *, local_only: bool = False) -> dict[str, Tensor]:
        """Return the symmetric `loss` and further metrics.

        Args:
            predicted: predictions `(2 B, D)` of this worker's first views, then of its second views.
            targets: target projections `(2 B, D)`, each row from the other view; without gradient.
            local_only: True for this worker's views only; False for those of all workers.
        """

    def losses(
        self, embeddings: Tensor, targets: Tensor, rows: Tensor, *, local_only: bool = False
    ) -> dict[str, Tensor]:
        """Return the symmetric loss of predictions from the embeddings and projections of the target's features."""
        predicted = torch.cat([self.predictor(each) for each in embeddings.chunk(2)])
        with torch.no_grad():
            projected = [self.target[1](features) for features in targets]
        return self.compare(predicted, torch.cat(projected[::-1]), local_only=local_only)

    def encode(self, views: Tensor) -> Tensor:
        """Return the online backbone's pooled features of each view."""
        return torch.stack([global_average_pool(self.backbone(view)) for view in views])

    def targets(self, views: Tensor) -> Tensor:
        """Return the target backbone's pooled features of each view."""
        with torch.no_grad():
            return torch.stack([global_average_pool(self.target[0](view)) for view in views])

    def project(self, features: Tensor) -> Tensor:
        """Return the online projections of each view."""
        return torch.cat([self.projector(each) for each in features])

    def diagnostics(self, embeddings: Tensor, rows: Tensor) -> dict[str, Tensor]:
        """Return the spread of the predictions as `prediction_std`; 0 where the predictor outputs one point."""
        predicted = torch.cat([self.predictor(each) for each in embeddings.chunk(2)])
        spread = embedding_metrics(predicted)
        return {"prediction_std": spread["embedding_std"]} if spread else {}

    def after_step(self, progress: float) -> None:
        """Update the EMA target network from the online network."""
        ema_update(self.target, nn.ModuleList([self.backbone, self.projector]), ema_momentum(self.momentum, progress))


def ema_momentum(start: float, progress: float) -> float:
    """Return the EMA momentum after a fraction of all steps: 1 - (1 - start) (cos(pi progress) + 1) / 2.

    Args:
        start: momentum at the first step, in [0, 1].
        progress: fraction of all steps done, in [0, 1].

    Example:
        >>> ema_momentum(0.99, 1.0)
        1.0
    """
    return 1 - (1 - start) * (math.cos(math.pi * progress) + 1) / 2


@torch.no_grad()
def ema_update(target: nn.Module, online: nn.Module, momentum: float) -> None:
    """Set every parameter of `target` to momentum * target + (1 - momentum) * online."""
    torch._foreach_lerp_(list(target.parameters()), list(online.parameters()), 1 - momentum)
