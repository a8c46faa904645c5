"""Methods whose loss is a function of the embeddings of two views alone."""

from __future__ import annotations

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


class EmbeddingTask(Task):
    """Trains a backbone and a projection head so that a loss of the embeddings of two augmented views falls."""

    division = "embeddings"

    def __init__(self, backbone: Backbone, projector: nn.Module, augment: Policy, store: FrameStore) -> None:
        super().__init__()
        self.augment = augment
        self.normalise, self.backbone, self.projector = Normalise(store.mean, store.std), backbone, projector

    @abstractmethod
    def compare(self, one: Tensor, two: Tensor, rows: Tensor, *, alone: bool = False) -> dict[str, Tensor]:
        """The `loss` of embeddings `(B, D)` of this worker's first and second views, and what else is worth knowing.

        `rows` are the images' in the frame store. In a group of workers it is that of the whole logical batch, unless
        `alone`.
        """

    def training_step(self, batch: Batch) -> dict[str, Tensor]:
        """The loss of the batch."""
        one, two = self.embed(batch).chunk(2)
        return self.compare(one, two, batch.rows)

    def evaluate(self, batches: Iterable[Batch]) -> dict[str, float]:
        """The same on frames that are not trained on, and the signs of collapse."""
        found = []
        for batch in batches:
            one, two = self.embed(batch).chunk(2)
            found.append({**self.compare(one, two, batch.rows, alone=True), **indicators(one, two)})
        return mean_over(found)

    def embed(self, batch: Batch) -> Tensor:
        """Embeddings `(2 B, D)` of both views, the first view's first."""
        views = [self.augment.apply(batch.images, None, batch.draw.fork("view", view))[0] for view in (0, 1)]
        embeddings: Tensor = self.projector(pooled(self.backbone(self.normalise(torch.cat(views)))))
        return embeddings


def widened(*embeddings: Tensor) -> list[Tensor]:
    """Embeddings in float32, or in float64 where they are: losses need more digits than half precision has."""
    return [z if z.dtype == torch.float64 else z.float() for z in embeddings]
