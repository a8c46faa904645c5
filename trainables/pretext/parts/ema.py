"""Methods that learn from a slowly moving copy of themselves."""

from __future__ import annotations

import copy
import math
from abc import abstractmethod

import torch
from torch import Tensor, nn

from trainables.augment.policy import Policy
from trainables.data.store.frames import FrameStore
from trainables.networks.backbones import Backbone
from trainables.pretext.method import pooled
from trainables.pretext.two_views import TwoViewTask


class MomentumTask(TwoViewTask):
    """Trains a backbone, projector and predictor towards the target's projection of the other view.

    Each view goes through the networks by itself, so that batch norm sees one view at a time. The target's batch norm
    uses its own batch's statistics, as the online one's does; its running statistics are therefore its own too, and
    only weights follow by the moving average.
    """

    def __init__(
        self,
        backbone: Backbone,
        projector: nn.Module,
        predictor: nn.Module,
        keep: float,
        augment: Policy,
        store: FrameStore,
    ) -> None:
        super().__init__(backbone, augment, store)
        self.keep, self.projector, self.predictor = keep, projector, predictor
        self.target = nn.ModuleList([copy.deepcopy(self.backbone), copy.deepcopy(self.projector)])
        self.target.requires_grad_(False)

    @abstractmethod
    def compare(self, predicted: Tensor, targets: Tensor, *, alone: bool = False) -> dict[str, Tensor]:
        """The symmetric `loss`, and what else is worth knowing.

        Args:
            predicted: `(2 B, D)`, of this worker's first views, then of its second ones.
            targets: likewise, each row's target from the other view; without gradient.
            alone: look at this worker's views only.
        """

    def losses(self, embeddings: Tensor, targets: Tensor, rows: Tensor, *, alone: bool = False) -> dict[str, Tensor]:
        """The symmetric loss of predictions from the embeddings and targets from the target's features."""
        predicted = torch.cat([self.predictor(each) for each in embeddings.chunk(2)])
        with torch.no_grad():
            projected = [self.target[1](features) for features in targets]
        return self.compare(predicted, torch.cat(projected[::-1]), alone=alone)

    def encode(self, views: Tensor) -> Tensor:
        """The online backbone's pooled features of each view."""
        return torch.stack([pooled(self.backbone(view)) for view in views])

    def targets(self, views: Tensor) -> Tensor:
        """The target backbone's pooled features of each view."""
        with torch.no_grad():
            return torch.stack([pooled(self.target[0](view)) for view in views])

    def project(self, features: Tensor) -> Tensor:
        """Online projections of each view."""
        return torch.cat([self.projector(each) for each in features])

    def after_step(self, progress: float) -> None:
        """Move the target towards the online network."""
        follow(self.target, nn.ModuleList([self.backbone, self.projector]), momentum(self.keep, progress))


def momentum(start: float, progress: float) -> float:
    """The target's momentum after a share `progress` of all steps: 1 - (1 - start) (cos(pi progress) + 1) / 2."""
    return 1 - (1 - start) * (math.cos(math.pi * progress) + 1) / 2


@torch.no_grad()
def follow(target: nn.Module, online: nn.Module, keep: float) -> None:
    """Move every parameter of `target` towards that of `online`: keep * target + (1 - keep) * online."""
    torch._foreach_lerp_(list(target.parameters()), list(online.parameters()), 1 - keep)
