"""BYOL (Grill et al. 2020): predict a slowly moving copy of oneself from another view."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainables.augment.policy import Policy
from trainables.data.batches import Batch
from trainables.data.frames import FrameStore
from trainables.loop import Task
from trainables.networks.backbones import Backbone
from trainables.networks.normalise import Normalise
from trainables.pretext.collapse import indicators
from trainables.pretext.method import BackboneMethod, mean_over, pooled
from trainables.pretext.projection import mlp


@dataclass(frozen=True)
class BYOL(BackboneMethod):
    """BYOL.

    Attributes:
        momentum: of the target at the start, in [0, 1]; it rises to 1 by a cosine. 0.996 in the paper for 1000 epochs,
            0.99 for 300.
        hidden: width of the hidden layers of projector and predictor; 4096 in the paper.
        projection: dimensions of the embeddings, from 2 up; 256 in the paper.
    """

    momentum: float = 0.996
    hidden: int = 4096
    projection: int = 256

    def __post_init__(self) -> None:
        if not 0 <= self.momentum <= 1:
            raise ValueError(f"momentum is {self.momentum}, expected a number in [0, 1]")
        if self.hidden < 1 or self.projection < 2:
            raise ValueError(f"hidden {self.hidden}, projection {self.projection}: expected at least 1 and at least 2")

    def build(self, backbone: Backbone, augment: Policy, store: FrameStore) -> BYOLTask:
        """The task."""
        return BYOLTask(self, backbone, augment, store)


class BYOLTask(Task):
    """Trains a backbone, projector and predictor to predict the target's projection of the other view.

    Each view goes through the networks by itself, so that batch norm sees one view at a time. The target's batch norm
    uses its own batch's statistics, as the online one's does; its running statistics are therefore its own too, and
    only weights follow by the moving average.
    """

    def __init__(self, settings: BYOL, backbone: Backbone, augment: Policy, store: FrameStore) -> None:
        super().__init__()
        self.settings, self.augment = settings, augment
        self.normalise, self.backbone = Normalise(store.mean, store.std), backbone
        self.projector = mlp(backbone.feature_channels, settings.hidden, settings.projection, output_norm=False)
        self.predictor = mlp(settings.projection, settings.hidden, settings.projection, output_norm=False)
        self.target = nn.ModuleList([copy.deepcopy(self.backbone), copy.deepcopy(self.projector)])
        self.target.requires_grad_(False)

    def training_step(self, batch: Batch) -> dict[str, Tensor]:
        """The symmetric loss."""
        predicted, targets, _ = self._both(batch)
        return {"loss": byol_loss(predicted, targets)}

    def evaluate(self, batches: Iterable[Batch]) -> dict[str, float]:
        """The same on frames that are not trained on, and the signs of collapse."""
        found = []
        for batch in batches:
            predicted, targets, projected = self._both(batch)
            loss = byol_loss(predicted, targets)
            found.append({"loss": loss, **indicators(*projected.chunk(2))})
        return mean_over(found)

    def after_step(self, progress: float) -> None:
        """Move the target towards the online network."""
        follow(self.target, nn.ModuleList([self.backbone, self.projector]), momentum(self.settings.momentum, progress))

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


def byol_loss(predicted: Tensor, targets: Tensor) -> Tensor:
    """Twice the mean of 2 - 2 cos(prediction, target) over the rows (Grill et al. 2020, equations 2 and 3).

    With the rows of both views this is the paper's symmetric loss: the sum of the two views' losses, averaged over
    images.

    Args:
        predicted: `(2 B, D)`, of both views.
        targets: likewise, each row's target from the other view; no gradient flows into it.
    """
    with torch.autocast(predicted.device.type, enabled=False):
        wide = predicted.dtype if predicted.dtype == torch.float64 else torch.float32
        cosine = F.cosine_similarity(predicted.to(wide), targets.detach().to(wide), dim=1)
        return 2 * (2 - 2 * cosine).mean()


def momentum(start: float, progress: float) -> float:
    """The target's momentum after a share `progress` of all steps: 1 - (1 - start) (cos(pi progress) + 1) / 2."""
    return 1 - (1 - start) * (math.cos(math.pi * progress) + 1) / 2


@torch.no_grad()
def follow(target: nn.Module, online: nn.Module, keep: float) -> None:
    """Move every parameter of `target` towards that of `online`: keep * target + (1 - keep) * online."""
    torch._foreach_lerp_(list(target.parameters()), list(online.parameters()), 1 - keep)
