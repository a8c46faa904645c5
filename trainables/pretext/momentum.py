"""Methods that learn from a slowly moving copy of themselves."""

from __future__ import annotations

import copy
import math
from abc import abstractmethod
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from trainables.augment.policy import Policy
from trainables.data.batches import Batch
from trainables.data.frames import FrameStore
from trainables.loop import Task
from trainables.networks.backbones import Backbone
from trainables.networks.normalise import Normalise
from trainables.pretext.collapse import indicators
from trainables.pretext.method import mean_over, pooled


class MomentumTask(Task):
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
        super().__init__()
        self.augment, self.keep = augment, keep
        self.normalise, self.backbone = Normalise(store.mean, store.std), backbone
        self.projector, self.predictor = projector, predictor
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

    def training_step(self, batch: Batch) -> dict[str, Tensor]:
        """The symmetric loss."""
        predicted, targets, _ = self._both(batch)
        return self.compare(predicted, targets)

    def evaluate(self, batches: Iterable[Batch]) -> dict[str, float]:
        """The same on frames that are not trained on, and the signs of collapse."""
        found = []
        for batch in batches:
            predicted, targets, projected = self._both(batch)
            found.append({**self.compare(predicted, targets, alone=True), **indicators(*projected.chunk(2))})
        return mean_over(found)

    def after_step(self, progress: float) -> None:
        """Move the target towards the online network."""
        follow(self.target, nn.ModuleList([self.backbone, self.projector]), momentum(self.keep, progress))

    def _both(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Predictions and online projections `(2 B, D)` of both views, and for each the target of the other view."""
        views = [
            self.normalise(self.augment.apply(batch.images, None, batch.draw.fork("view", view))[0]) for view in (0, 1)
        ]
        projected = [self.projector(pooled(self.backbone(view))) for view in views]
        predicted = torch.cat([self.predictor(projection) for projection in projected])
        with torch.no_grad():
            target_backbone, target_projector = self.target
            targets = [target_projector(pooled(target_backbone(view))) for view in views]
        return predicted, torch.cat(targets[::-1]), torch.cat(projected)


def momentum(start: float, progress: float) -> float:
    """The target's momentum after a share `progress` of all steps: 1 - (1 - start) (cos(pi progress) + 1) / 2."""
    return 1 - (1 - start) * (math.cos(math.pi * progress) + 1) / 2


@torch.no_grad()
def follow(target: nn.Module, online: nn.Module, keep: float) -> None:
    """Move every parameter of `target` towards that of `online`: keep * target + (1 - keep) * online."""
    torch._foreach_lerp_(list(target.parameters()), list(online.parameters()), 1 - keep)
