"""BYOL (Grill et al. 2020): prediction of an EMA target network's projection of the other view."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from trainables.augment.policy import Policy
from trainables.data.store.frames import FrameStore
from trainables.networks.backbones import Backbone
from trainables.pretext.method import BackboneMethod
from trainables.pretext.monitoring.signs import PARTNER, Sign
from trainables.pretext.parts.ema import EMATargetTask
from trainables.pretext.parts.projection import mlp


@dataclass(frozen=True)
class BYOL(BackboneMethod):
    """Settings of BYOL.

    Attributes:
        momentum: initial momentum of the EMA target network, in [0, 1]; it rises to 1 by a cosine. 0.996 in the paper
            for 1000 epochs, 0.99 for 300.
        hidden: width of the hidden layers of projector and predictor; 4096 in the paper.
        projection: embedding dimensions, from 2 up; 256 in the paper.
    """

    compares_views: ClassVar[bool] = True

    momentum: float = 0.996
    hidden: int = 4096
    projection: int = 256

    def __post_init__(self) -> None:
        if not 0 <= self.momentum <= 1:
            raise ValueError(f"momentum is {self.momentum}, expected a number in [0, 1]")
        if self.hidden < 1 or self.projection < 2:
            raise ValueError(f"hidden {self.hidden}, projection {self.projection}: expected at least 1 and at least 2")

    @property
    def sign(self) -> Sign:
        """Views whose partner is nearer than an unrelated view."""
        return PARTNER

    def build(self, backbone: Backbone, augment: Policy, store: FrameStore) -> BYOLTask:
        """Return the task that trains `backbone`."""
        projector = mlp(backbone.feature_channels, self.hidden, self.projection, output_norm=False)
        predictor = mlp(self.projection, self.hidden, self.projection, output_norm=False)
        return BYOLTask(backbone, projector, predictor, self.momentum, augment, store)


class BYOLTask(EMATargetTask):
    """Prediction of the EMA target network's projection of the other view."""

    def compare(self, predicted: Tensor, targets: Tensor, *, local_only: bool = False) -> dict[str, Tensor]:
        """Return the symmetric loss, a mean over images that needs no other worker's views."""
        return {"loss": byol_loss(predicted, targets)}


def byol_loss(predicted: Tensor, targets: Tensor) -> Tensor:
    """Return twice the mean of 2 - 2 cos(prediction, target) over the rows (Grill et al. 2020, equations 2 and 3).

    With the rows of both views this is the paper's symmetric loss: the sum of the two views' losses, averaged over
    images.

    Args:
        predicted: predictions `(2 B, D)` of both views.
        targets: target projections `(2 B, D)`, each row from the other view; no gradient flows into them.
    """
    with torch.autocast(predicted.device.type, enabled=False):
        wide = predicted.dtype if predicted.dtype == torch.float64 else torch.float32
        cosine = F.cosine_similarity(predicted.to(wide), targets.detach().to(wide), dim=1)
        return 2 * (2 - 2 * cosine).mean()
