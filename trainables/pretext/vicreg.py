"""VICReg (Bardes, Ponce and LeCun 2022): invariance of views, variance and decorrelation of dimensions."""

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

_EPSILON = 1e-4


@dataclass(frozen=True)
class VICReg(BackboneMethod):
    """Settings of VICReg.

    Attributes:
        invariance: weight of the distance between the two views; 25 in the paper.
        variance: weight of the hinge on each dimension's standard deviation; 25 in the paper.
        covariance: weight of the squared covariances between dimensions; 1 in the paper.
        projection: width of the expander's three layers, the last of which gives the embeddings, from 2 up; 8192 in
            the paper.
    """

    compares_views: ClassVar[bool] = True

    invariance: float = 25.0
    variance: float = 25.0
    covariance: float = 1.0
    projection: int = 2048

    def __post_init__(self) -> None:
        if min(self.invariance, self.variance, self.covariance) < 0:
            raise ValueError(f"weights {self.invariance}, {self.variance}, {self.covariance}: expected none below 0")
        if self.projection < 2:
            raise ValueError(f"projection is {self.projection}, expected at least 2")

    @property
    def sign(self) -> Sign:
        """Views whose partner is nearer than an unrelated view."""
        return PARTNER

    def build(self, backbone: Backbone, augment: Policy, store: FrameStore) -> VICRegTask:
        """Return the task that trains `backbone`."""
        width = self.projection
        expander = mlp(backbone.feature_channels, width, width, output_norm=False, hidden_layers=2)
        return VICRegTask(self, backbone, expander, augment, store)


class VICRegTask(EmbeddingTask):
    """Training of a backbone and an expander by the three VICReg terms."""

    def __init__(
        self, settings: VICReg, backbone: Backbone, expander: nn.Module, augment: Policy, store: FrameStore
    ) -> None:
        super().__init__(backbone, expander, augment, store)
        self.settings = settings

    def compare(self, one: Tensor, two: Tensor, rows: Tensor, *, local_only: bool = False) -> dict[str, Tensor]:
        """Return the weighted sum and the three terms."""
        terms = vicreg_terms(one, two, local_only=local_only)
        weights = (self.settings.invariance, self.settings.variance, self.settings.covariance)
        total = torch.stack([weight * term for weight, term in zip(weights, terms.values(), strict=True)]).sum()
        return {"loss": total, **{name: term.detach() for name, term in terms.items()}}


def vicreg_terms(one: Tensor, two: Tensor, *, local_only: bool = False) -> dict[str, Tensor]:
    """Return the terms of the loss over the whole logical batch (Bardes et al. 2022, equations 1 to 5).

    They are scaled as in the authors' code, for which the paper's weights hold: the squared distance is a mean over
    dimensions too, where equation 5 sums over them, and the variance term is the mean of the two views', where
    equation 6 sums them.

    Args:
        one: embeddings `(B, D)` of this worker's first views, at least two over all workers.
        two: embeddings `(B, D)` of its second views.
        local_only: True for this worker's views only; False for those of all workers.
    """
    with torch.autocast(one.device.type, enabled=False):
        wide = at_least_float32(one, two)
        views = wide if local_only else [gather(view) for view in wide]
        spread, mixed = [], []
        for view in views:
            centred = view - view.mean(0)
            covariance = centred.T @ centred / (len(view) - 1)
            diagonal = covariance.diagonal()
            spread.append(F.relu(1 - torch.sqrt(diagonal + _EPSILON)).mean())
            mixed.append((covariance.square().sum() - diagonal.square().sum()) / view.shape[1])
        return {
            "invariance": (views[0] - views[1]).square().mean(),
            "variance": torch.stack(spread).sum() / 2,
            "covariance": torch.stack(mixed).sum(),
        }
