"""The downstream task: segment labelled frames."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trainables.augment.policy import Policy
from trainables.data.batches import Batch
from trainables.data.frames import FrameStore
from trainables.downstream.losses import Loss
from trainables.downstream.transfer import Transfer, freeze, parameter_groups
from trainables.loop import Task
from trainables.metrics.overlap import counts, dice_of, subject_means
from trainables.networks.network import SegmentationNetwork
from trainables.networks.normalise import Normalise


@dataclass(frozen=True)
class Predictions:
    """A network's answers on a set of frames.

    Attributes:
        rows: int64 `(N,)`, rows of the frame store.
        masks: uint8 class indices `(N, S, S)`.
        cases: int64 `(M,)`, a row of the frame store for each case: a frame, or of a volume the slice with the
            largest true structures.
        dice: float64 `(M, K)` of each case and foreground class, a volume's over all its slices at once; nan where the
            rule for empty masks leaves a case out.
        loss: mean over the frames.
    """

    rows: np.ndarray
    masks: np.ndarray
    cases: np.ndarray
    dice: np.ndarray
    loss: float


class Segmentation(Task):
    """Trains a segmentation network; judged by Dice averaged over classes, then cases, then subjects."""

    monitor = "dice"

    def __init__(
        self,
        network: SegmentationNetwork,
        loss: Loss,
        augment: Policy,
        store: FrameStore,
        transfer: Transfer | None = None,
    ) -> None:
        super().__init__()
        self.transfer = transfer or Transfer()
        self.frozen = self.transfer.frozen(0)
        freeze(network.backbone, self.transfer.train == "decoder")
        self.network, self.loss, self.augment = network, loss, augment
        self.division = "images" if loss.by_image else "none"
        self.classes = store.classes
        self._index = store.index
        self.normalise = Normalise(store.mean, store.std)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """As the transfer says."""
        return parameter_groups(self.network, self.transfer)

    def before_epoch(self, epoch: int) -> None:
        """Freeze the backbone, or let it go."""
        self.frozen = self.transfer.frozen(epoch)
        freeze(self.network.backbone, self.frozen)

    def train(self, mode: bool = True) -> Segmentation:
        """As every module, but a frozen backbone's batch norm keeps its statistics."""
        super().train(mode)
        if self.frozen:
            self.network.backbone.eval()
        return self

    def training_step(self, batch: Batch) -> dict[str, Tensor]:
        """The loss on the augmented batch."""
        assert batch.masks is not None
        images, masks = self.augment.apply(batch.images, batch.masks, batch.draw)
        assert masks is not None
        return {"loss": self.loss(self._logits(images), masks.long())}

    def evaluate(self, batches: Iterable[Batch]) -> dict[str, float]:
        """`dice`, `dice/<class>` and `loss`; Dice is the mean over subjects of the mean over their cases."""
        found = self.predict(batches)
        per_subject = subject_means(found.dice, self._index["subject"][found.cases])
        classes = np.nanmean(per_subject, axis=0)
        named = {f"dice/{name}": float(value) for name, value in zip(self.classes[1:], classes, strict=True)}
        return {"dice": float(np.nanmean(per_subject)), "loss": found.loss, **named}

    def predict(self, batches: Iterable[Batch]) -> Predictions:
        """Segment labelled frames as they are."""
        rows, masks, overlaps, sizes, areas, losses = [], [], [], [], [], []
        for batch in batches:
            assert batch.masks is not None
            logits = self._logits(batch.images.float() / 255)
            predicted = logits.argmax(1)
            overlap, size = counts(predicted, batch.masks, classes=len(self.classes))
            overlaps.append(overlap)
            sizes.append(size)
            areas.append((batch.masks > 0).sum((1, 2)))
            losses.append(self.loss(logits, batch.masks.long()) * len(batch.rows))
            rows.append(batch.rows)
            masks.append(predicted.to(torch.uint8))
        every = torch.cat(rows).cpu().numpy()
        loss = float(torch.stack(losses).sum()) / len(every)
        cases, dice = self._cases(
            every, torch.cat(areas).cpu().numpy(), torch.cat(overlaps).cpu(), torch.cat(sizes).cpu()
        )
        return Predictions(every, torch.cat(masks).cpu().numpy(), cases, dice, loss)

    def _cases(
        self, rows: np.ndarray, areas: np.ndarray, overlap: Tensor, sizes: Tensor
    ) -> tuple[np.ndarray, np.ndarray]:
        """The cases among rows, and their Dice from the counts of each row; `areas` are of the true structures."""
        entries = self._index[rows]
        key = np.where(entries["stack"] == 1, -1 - entries["sequence"].astype(np.int64), rows)
        _, first, case = np.unique(key, return_index=True, return_inverse=True)
        shape = (len(first), sizes.shape[1])
        place = torch.from_numpy(case)
        summed = [torch.zeros(shape, dtype=part.dtype).index_add_(0, place, part) for part in (overlap, sizes)]
        largest = first.copy()
        for number in np.argsort(areas, kind="stable"):  # the last of a case is its largest
            largest[case[number]] = number
        order = np.argsort(first)
        return rows[largest][order], dice_of(summed[0], summed[1]).numpy()[order]

    def _logits(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network(self.normalise(images))
        return logits
