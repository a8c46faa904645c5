"""The downstream task: segment labelled frames."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from trainables.augment.policy import Policy
from trainables.data.batches import Batch
from trainables.data.frames import FrameStore
from trainables.downstream.losses import Loss
from trainables.loop import Task
from trainables.metrics.overlap import dice, subject_means
from trainables.networks.network import SegmentationNetwork
from trainables.networks.normalise import Normalise


@dataclass(frozen=True)
class Predictions:
    """A network's answers on a set of frames.

    Attributes:
        rows: int64 `(N,)`, rows of the frame store.
        masks: uint8 class indices `(N, S, S)`.
        dice: float64 `(N, K)`, per foreground class; nan where the rule for empty masks leaves a case out.
        loss: mean over the frames.
    """

    rows: np.ndarray
    masks: np.ndarray
    dice: np.ndarray
    loss: float


class Segmentation(Task):
    """Trains a segmentation network; judged by Dice averaged over classes, then images, then subjects."""

    monitor = "dice"

    def __init__(self, network: SegmentationNetwork, loss: Loss, augment: Policy, store: FrameStore) -> None:
        super().__init__()
        self.network, self.loss, self.augment = network, loss, augment
        self.classes = store.classes
        self._subjects = store.index["subject"]
        self.normalise = Normalise(store.mean, store.std)

    def training_step(self, batch: Batch) -> dict[str, Tensor]:
        """The loss on the augmented batch."""
        assert batch.masks is not None
        images, masks = self.augment.apply(batch.images, batch.masks, batch.draw)
        assert masks is not None
        return {"loss": self.loss(self._logits(images), masks.long())}

    def evaluate(self, batches: Iterable[Batch]) -> dict[str, float]:
        """`dice`, `dice/<class>` and `loss`; Dice is the mean over subjects of the mean over their images."""
        found = self.predict(batches)
        per_subject = subject_means(found.dice, self._subjects[found.rows])
        classes = np.nanmean(per_subject, axis=0)
        named = {f"dice/{name}": float(value) for name, value in zip(self.classes[1:], classes, strict=True)}
        return {"dice": float(np.nanmean(per_subject)), "loss": found.loss, **named}

    def predict(self, batches: Iterable[Batch]) -> Predictions:
        """Segment labelled frames as they are."""
        rows, masks, scores, losses = [], [], [], []
        for batch in batches:
            assert batch.masks is not None
            logits = self._logits(batch.images.float() / 255)
            predicted = logits.argmax(1)
            scores.append(dice(predicted, batch.masks.long(), classes=len(self.classes)).cpu().numpy())
            losses.append(self.loss(logits, batch.masks.long()) * len(batch.rows))
            rows.append(batch.rows.cpu().numpy())
            masks.append(predicted.to(torch.uint8).cpu().numpy())
        every = np.concatenate(rows)
        loss = float(torch.stack(losses).sum()) / len(every)
        return Predictions(every, np.concatenate(masks), np.concatenate(scores), loss)

    def _logits(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network(self.normalise(images))
        return logits
