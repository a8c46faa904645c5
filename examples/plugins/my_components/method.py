"""Prediction of an image's rotation (Gidaris, Singh and Komodakis 2018): a pretext method without views."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainables.augment.policy import Policy
from trainables.data.sampling.batches import Batch
from trainables.data.store.frames import FrameStore
from trainables.engine.task import Task
from trainables.networks.backbones import Backbone
from trainables.networks.normalise import Normalise
from trainables.pretext import METHODS
from trainables.pretext.method import BackboneMethod, average_metrics, global_average_pool
from trainables.pretext.monitoring.signs import Sign


@dataclass(frozen=True)
class Rotation(BackboneMethod):
    """Settings of rotation prediction.

    Attributes:
        smoothing: share of the target that is spread over all four rotations, in [0, 1).
    """

    smoothing: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.smoothing < 1:
            raise ValueError(f"smoothing is {self.smoothing}, expected a number in [0, 1)")

    @property
    def sign(self) -> Sign:
        """Accuracy beside a quarter, that of guessing."""
        return Sign("rotation_accuracy", 0.25, "score", "rotations found", "chance", 0.1, 0.3, "train longer")

    def build(self, backbone: Backbone, augment: Policy, store: FrameStore) -> RotationTask:
        """Return the task that trains `backbone`."""
        return RotationTask(backbone, augment, store, self.smoothing)


class RotationTask(Task):
    """Every image is shown in all four rotations; the gradient of a batch is the mean over its images."""

    division = "images"

    def __init__(self, backbone: Backbone, augment: Policy, store: FrameStore, smoothing: float) -> None:
        super().__init__()
        self.backbone, self.augment, self.smoothing = backbone, augment, smoothing
        self.normalise = Normalise(store.mean, store.std)
        self.classifier = nn.Linear(backbone.feature_channels, 4)

    def training_step(self, batch: Batch) -> dict[str, Tensor]:
        """Return the loss of a batch."""
        return {"loss": self._measure(batch)["loss"]}

    def evaluate(self, batches: Iterable[Batch]) -> dict[str, float]:
        """Return loss and accuracy."""
        return average_metrics([self._measure(batch) for batch in batches])

    def _measure(self, batch: Batch) -> dict[str, Tensor]:
        images, _ = self.augment.apply(batch.images, None, batch.draw.fork("rotation"))
        turned = torch.cat([images.rot90(quarter, (2, 3)) for quarter in range(4)])
        target = torch.arange(4, device=images.device).repeat_interleave(len(images))
        logits = self.classifier(global_average_pool(self.backbone(self.normalise(turned))))
        found = (logits.argmax(1) == target).float().mean()
        return {
            "loss": F.cross_entropy(logits, target, label_smoothing=self.smoothing),
            "rotation_accuracy": found,
        }


METHODS.add("rotation", Rotation)
