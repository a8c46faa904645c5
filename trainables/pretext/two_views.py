"""What methods share whose loss sees two augmented views of each image, through the backbone's features alone."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable

import torch
from torch import Tensor

from trainables.augment.policy import Policy
from trainables.data.sampling.batches import Batch
from trainables.data.store.frames import FrameStore
from trainables.engine.grad_cache import encode_parts
from trainables.engine.split import split
from trainables.engine.task import Task
from trainables.networks.backbones import Backbone
from trainables.networks.normalise import Normalise
from trainables.pretext.method import mean_over
from trainables.pretext.monitoring.collapse import indicators


class TwoViewTask(Task):
    """Trains a backbone by a loss of the features of two augmented views; the heads on them see the whole batch."""

    division = "features"

    def __init__(self, backbone: Backbone, augment: Policy, store: FrameStore) -> None:
        super().__init__()
        self.augment = augment
        self.normalise, self.backbone = Normalise(store.mean, store.std), backbone

    @abstractmethod
    def encode(self, views: Tensor) -> Tensor:
        """The backbone's features `(2, B, D)` of both views `(2, B, C, H, W)`."""

    def targets(self, views: Tensor) -> Tensor:
        """Other features `(2, B, E)` that the loss compares with, without gradient; `(0, B, 0)` if there are none."""
        return views.new_empty(0, views.shape[1], 0)

    @abstractmethod
    def project(self, features: Tensor) -> Tensor:
        """Embeddings `(2 B, P)` from features `(2, B, D)`, the first view's first."""

    @abstractmethod
    def losses(self, embeddings: Tensor, targets: Tensor, rows: Tensor, *, alone: bool = False) -> dict[str, Tensor]:
        """The `loss` of this worker's embeddings, and what else is worth knowing.

        Args:
            embeddings: `(2 B, P)`, the first view's first.
            targets: of both views.
            rows: the images', in the frame store.
            alone: look at this worker's images only; in a group of workers the loss is else the whole batch's.
        """

    def loss(self, features: Tensor, targets: Tensor, rows: Tensor) -> dict[str, Tensor]:
        """The losses of features of both views."""
        return self.losses(self.project(features), targets, rows)

    def training_step(self, batch: Batch) -> dict[str, Tensor]:
        """The loss of the batch."""
        views = self.views(batch)
        return self.loss(self.encode(views), self.targets(views), batch.rows)

    def evaluate(self, batches: Iterable[Batch]) -> dict[str, float]:
        """The same on frames that are not trained on, and the signs of collapse."""
        found = []
        for batch in batches:
            features, targets, _ = encode_parts(self, split(batch, self.micro_batch))
            embeddings = self.project(features)
            losses = self.losses(embeddings, targets, batch.rows, alone=True)
            found.append({**losses, **indicators(*embeddings.chunk(2))})
        return mean_over(found)

    def views(self, batch: Batch) -> Tensor:
        """Both augmented views, normalised, `(2, B, C, H, W)`."""
        views = [self.augment.apply(batch.images, None, batch.draw.fork("view", view))[0] for view in (0, 1)]
        return torch.stack([self.normalise(view) for view in views])
