"""The downstream task: segment labelled frames."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trainables.augment.policy import Policy
from trainables.data.sampling.batches import Batch, Batches
from trainables.data.store.frames import FrameStore
from trainables.downstream.losses import Loss
from trainables.downstream.transfer import Transfer, freeze, parameter_groups
from trainables.engine.task import Task
from trainables.metrics.overlap import counts, dice_from_counts, subject_means
from trainables.networks.network import SegmentationNetwork
from trainables.networks.normalise import Normalise
from trainables.networks.running_statistics import freeze_norms, recalibrate


@dataclass(frozen=True)
class Predictions:
    """Predicted masks of a set of frames, with the reference masks and the Dice of the frames that have one.

    Attributes:
        rows: int64 `(N,)`, rows of the frame store.
        masks: uint8 class indices `(N, S, S)`.
        reference_rows: int64 `(R,)`, those of `rows` that have a reference mask.
        references: uint8 class indices `(R, S, S)`, their reference masks.
        cases: int64 `(M,)`, a row of the frame store for each case: a frame, or of a volume the slice with the
            largest true structures.
        dice: float64 `(M, K)` of each case and foreground class, a volume's over all its slices at once; nan where the
            rule for empty masks leaves a case out.
        loss: mean over the frames with masks.
    """

    rows: np.ndarray
    masks: np.ndarray
    reference_rows: np.ndarray
    references: np.ndarray
    cases: np.ndarray
    dice: np.ndarray
    loss: float


class Segmentation(Task):
    """Segmentation task, evaluated by Dice averaged over classes, then cases, then subjects.

    Args:
        network: network to train.
        loss: loss of logits against class indices.
        augment: augmentation policy of training.
        store: frame store of the dataset.
        transfer: selection of the fine-tuned weights; None trains all.
        freeze_norms: keep the running statistics of the backbone's batch norms, and use them in training.
        calibration: frames whose statistics batch norm uses in evaluation; None for the running averages of training.
    """

    monitor = "dice"

    def __init__(
        self,
        network: SegmentationNetwork,
        loss: Loss,
        augment: Policy,
        store: FrameStore,
        transfer: Transfer | None = None,
        *,
        freeze_norms: bool = False,
        calibration: Batches | None = None,
    ) -> None:
        super().__init__()
        self.transfer = transfer or Transfer()
        self.frozen, self.calibration = self.transfer.frozen(0), calibration
        self.freeze_norms = freeze_norms or self.transfer.train == "lora"  # the backbone's weights stay, too
        freeze(network.backbone, self.transfer.train == "decoder")
        self.network, self.loss, self.augment = network, loss, augment
        self.division = "images" if loss.by_image else "none"
        self.classes = store.classes
        self.store = store
        self.normalise = Normalise(store.mean, store.std)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return the optimizer groups that the transfer settings define."""
        return parameter_groups(self.network, self.transfer)

    def before_epoch(self, epoch: int) -> None:
        """Freeze or unfreeze the backbone for the epoch."""
        self.frozen = self.transfer.frozen(epoch)
        freeze(self.network.backbone, self.frozen)

    def train(self, mode: bool = True) -> Segmentation:
        """Set training mode; a frozen backbone stays in evaluation mode, which keeps its batch-norm statistics."""
        super().train(mode)
        if self.frozen:
            self.network.backbone.eval()
        elif self.freeze_norms:
            freeze_norms(self.network.backbone)
        return self

    def training_step(self, batch: Batch) -> dict[str, Tensor]:
        """Return the loss on the augmented batch."""
        assert batch.masks is not None
        images, masks = self.augment.apply(batch.images, batch.masks, batch.draw)
        assert masks is not None
        return {"loss": self.loss(self._logits(images), masks.long())}

    def evaluate(self, batches: Iterable[Batch]) -> dict[str, float]:
        """Return `dice`, `dice/<class>` and `loss`; Dice is the mean over subjects of the mean over their cases."""
        if self.calibration is not None:
            device = next(self.network.parameters()).device
            frames = self.calibration.epoch(0, device=device)
            recalibrate(self.network, ((self.normalise(batch.images.float() / 255),) for batch in frames))
        found = self.predict(batches)
        return {**scores_of(self.store, found), "loss": found.loss}

    def predict(self, batches: Iterable[Batch]) -> Predictions:
        """Segment frames without augmentation; evaluate the frames that have masks."""
        return predict([self], batches)

    def scores(self, batch: Batch) -> Tensor:
        """Return logits `(B, K, S, S)` of a batch's frames, without augmentation."""
        return self._logits(batch.images.float() / 255)

    def truth(self, batch: Batch) -> tuple[np.ndarray, np.ndarray]:
        """Return a bool array `(B,)`, true for frames with a mask, and the masks of those frames.

        The batch's masks are used if it carries them; the store is read only otherwise.
        """
        if batch.masks is not None:
            return np.ones(len(batch.rows), bool), batch.masks.cpu().numpy()
        numbers = self.store.index["mask"][batch.rows.cpu().numpy()]
        return numbers >= 0, np.asarray(self.store.masks[numbers[numbers >= 0]])

    def _logits(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network(self.normalise(images))
        return logits


def predict(tasks: Sequence[Segmentation], batches: Iterable[Batch]) -> Predictions:
    """Segment frames by the mean probabilities of several networks; evaluate the frames that have masks.

    Args:
        tasks: segmentation tasks that differ in their networks' weights only.
        batches: unshuffled batches of the store's frames, with or without masks.
    """
    first = tasks[0]
    rows, masks, evaluated, references, overlaps, sizes, losses = [], [], [], [], [], [], []
    for batch in batches:
        scores = mean_scores([task.scores(batch) for task in tasks])
        predicted, number = scores.argmax(1), batch.rows.cpu().numpy()
        rows.append(number)
        masks.append(predicted.to(torch.uint8).cpu())
        known, found = first.truth(batch)
        if not known.any():
            continue
        truth, chosen = (torch.from_numpy(each).to(batch.device) for each in (found, np.flatnonzero(known)))
        overlap, size = counts(predicted[chosen], truth, classes=len(first.classes))
        overlaps.append(overlap)
        sizes.append(size)
        evaluated.append(number[known])
        references.append(found)
        losses.append(first.loss(scores[chosen], truth.long()) * len(truth))
    every, reference = np.concatenate(evaluated), np.concatenate(references)
    loss = float(torch.stack(losses).sum()) / len(every)
    cases, dice = _cases(first.store.index[every], every, reference, torch.cat(overlaps).cpu(), torch.cat(sizes).cpu())
    return Predictions(np.concatenate(rows), torch.cat(masks).numpy(), every, reference, cases, dice, loss)


def joined(parts: Sequence[Predictions]) -> Predictions:
    """Return the predictions of disjoint sets of subjects as one, in the order of their rows."""
    rows, masks, evaluated, references, cases, dice = (
        np.concatenate([getattr(part, name) for part in parts])
        for name in ("rows", "masks", "reference_rows", "references", "cases", "dice")
    )
    order, known, case = (np.argsort(each, kind="stable") for each in (rows, evaluated, cases))
    loss = float(np.average([part.loss for part in parts], weights=[len(part.reference_rows) for part in parts]))
    return Predictions(rows[order], masks[order], evaluated[known], references[known], cases[case], dice[case], loss)


def evaluate_masks(store: FrameStore, rows: np.ndarray, masks: np.ndarray) -> Predictions:
    """Compute the Dice of masks that an external program predicted; the loss is nan.

    Args:
        store: frame store with the reference masks.
        rows: int64 `(N,)`, rows of the store that were segmented.
        masks: uint8 class indices `(N, S, S)`, one mask per row.
    """
    known = store.index["mask"][rows] >= 0
    every = rows[known]
    reference = np.asarray(store.masks[store.index["mask"][every]])
    overlap, sizes = counts(torch.from_numpy(masks[known]), torch.from_numpy(reference), classes=len(store.classes))
    cases, dice = _cases(store.index[every], every, reference, overlap, sizes)
    return Predictions(rows, masks, every, reference, cases, dice, float("nan"))


def scores_of(store: FrameStore, found: Predictions) -> dict[str, float]:
    """Return `dice` and `dice/<class>`: the mean over subjects of the mean over their cases."""
    per_subject = subject_means(found.dice, store.index["subject"][found.cases])
    classes = np.nanmean(per_subject, axis=0)
    named = {f"dice/{name}": float(value) for name, value in zip(store.classes[1:], classes, strict=True)}
    return {"dice": float(np.nanmean(per_subject)), **named}


def mean_scores(scores: Sequence[Tensor]) -> Tensor:
    """Return the log of the mean probabilities of logits `(B, K, S, S)`, or the only scores unchanged."""
    if len(scores) == 1:
        return scores[0]
    return torch.stack([each.float().softmax(1) for each in scores]).mean(0).clamp_min(1e-12).log()


def _cases(
    entries: np.ndarray, rows: np.ndarray, references: np.ndarray, overlap: Tensor, sizes: Tensor
) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of the cases and their Dice; the slice with the most labelled pixels stands for its volume."""
    key = np.where(entries["stack"] == 1, -1 - entries["sequence"].astype(np.int64), rows)
    _, first, case = np.unique(key, return_index=True, return_inverse=True)
    shape = (len(first), sizes.shape[1])
    place = torch.from_numpy(case)
    summed = [torch.zeros(shape, dtype=part.dtype).index_add_(0, place, part) for part in (overlap, sizes)]
    largest, areas = first.copy(), (references > 0).sum((1, 2))
    for number in np.argsort(areas, kind="stable"):  # the last of a case is its largest
        largest[case[number]] = number
    order = np.argsort(first)
    return rows[largest][order], dice_from_counts(summed[0], summed[1]).numpy()[order]
