"""Base task of methods whose loss depends on the backbone's features of two augmented views per image."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import cast

import numpy as np
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
from trainables.pretext.method import average_metrics
from trainables.pretext.monitoring.embedding_metrics import embedding_metrics


class TwoViewTask(Task):
    """Task with a loss of the features of two augmented views; heads see the whole logical batch."""

    division = "features"

    def __init__(self, backbone: Backbone, augment: Policy, store: FrameStore) -> None:
        super().__init__()
        self.augment = augment
        self._subjects = torch.from_numpy(store.index["subject"].astype(np.int64))
        self.normalise, self.backbone = Normalise(store.mean, store.std), backbone

    @abstractmethod
    def encode(self, views: Tensor) -> Tensor:
        """Return the backbone's features `(2, B, D)` of both views `(2, B, C, H, W)`."""

    def targets(self, views: Tensor) -> Tensor:
        """Return target features `(2, B, E)` without gradient; `(0, B, 0)` for methods without targets."""
        return views.new_empty(0, views.shape[1], 0)

    @abstractmethod
    def project(self, features: Tensor) -> Tensor:
        """Return embeddings `(2 B, P)` from features `(2, B, D)`, the first view's rows first."""

    @abstractmethod
    def losses(
        self, embeddings: Tensor, targets: Tensor, rows: Tensor, *, local_only: bool = False
    ) -> dict[str, Tensor]:
        """Return the `loss` of this worker's embeddings and further metrics.

        Args:
            embeddings: embeddings `(2 B, P)`, the first view's rows first.
            targets: target features of both views.
            rows: row numbers `(B,)` of the images in the frame store.
            local_only: True for this worker's images only; False for the loss of the whole logical batch.
        """

    def loss(self, features: Tensor, targets: Tensor, rows: Tensor) -> dict[str, Tensor]:
        """Return the losses of the features of both views."""
        return self.losses(self.project(features), targets, rows)

    def training_step(self, batch: Batch) -> dict[str, Tensor]:
        """Return the losses of a batch."""
        views = self.views(batch)
        return self.loss(self.encode(views), self.targets(views), batch.rows)

    def evaluate(self, batches: Iterable[Batch]) -> dict[str, float]:
        """Return mean losses and embedding metrics over evaluation batches."""
        found = []
        for batch in batches:
            features, targets, _ = encode_parts(self, split(batch, self.micro_batch))
            embeddings = self.project(features)
            losses = self.losses(embeddings, targets, batch.rows, local_only=True)
            one, two = embeddings.chunk(2)
            spread = embedding_metrics(one, two, self._subjects[batch.rows.cpu()])
            found.append({**losses, **spread, **self.diagnostics(embeddings, batch.rows)})
        return average_metrics(found)

    def diagnostics(self, embeddings: Tensor, rows: Tensor) -> dict[str, Tensor]:
        """Return further metrics of an evaluation batch; by default none.

        Args:
            embeddings: embeddings `(2 B, P)`, the first view's rows first.
            rows: row numbers `(B,)` of the images in the frame store.
        """
        return {}

    def views(self, batch: Batch) -> Tensor:
        """Return both augmented and normalized views `(2, B, C, H, W)`."""
        views = [self.augment.apply(batch.images, None, batch.draw.fork("view", view))[0] for view in (0, 1)]
        return cast(Tensor, self.normalise(torch.stack(views)))
