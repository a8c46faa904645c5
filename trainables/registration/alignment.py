"""The registration task: align pairs of frames of a sequence, without labels."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from trainables.data.sampling.batches import Batch
from trainables.data.store.frames import FrameStore
from trainables.engine.task import Task
from trainables.metrics.overlap import dice, subject_means
from trainables.registration.cascade import folded_fraction
from trainables.registration.network import RegistrationNetwork
from trainables.registration.similarity import Similarity
from trainables.registration.warp import warp, warp_labels


class Alignment(Task):
    """Task that trains a registration network; validated by its loss between labelled end-diastole and end-systole.

    A batch's rows are pairs (fixed, moving), so its images are `(B, 2, C, H, W)`.
    """

    monitor = "loss"
    higher_is_better = False

    def __init__(self, network: RegistrationNetwork, similarity: Similarity, alpha: float, store: FrameStore) -> None:
        super().__init__()
        self.network, self.similarity, self.alpha = network, similarity, alpha
        self.classes, self._subjects = store.classes, store.index["subject"]

    def training_step(self, batch: Batch) -> dict[str, Tensor]:
        """Compute the loss, averaged over the stages, and the last stage's similarity and bending energy."""
        fixed, moving = _pair(batch)
        steps = self.network(fixed, moving)
        losses = []
        for step in steps:
            ncc = self.similarity(fixed, warp(moving, step.displacement)).mean()
            bending = step.bending.mean()
            losses.append(self.alpha * bending - ncc)
        return {"loss": torch.stack(losses).mean(), "ncc": ncc, "bending": bending}

    def evaluate(self, batches: Iterable[Batch]) -> dict[str, float]:
        """Evaluate the alignment of labelled pairs, averaged over each subject's pairs, then over subjects.

        Returns:
            `loss`; `ncc_before` and `ncc`, the similarity before and after warping; `folded`, the fraction of pixels
            where the field folds; `dice_before`, and `dice` and `dice/<class>`, the Dice of the moving frame's mask
            against the fixed frame's before and after warping.
        """
        found, overlaps, subjects = [], [], []
        for batch in batches:
            values, before, after = self._evaluate_batch(batch)
            found.append(values)
            overlaps.append(torch.stack([before, after], 1))
            subjects.append(self._subjects[batch.rows[:, 0].cpu().numpy()])
        row_subjects = np.concatenate(subjects)
        names = list(found[0])
        columns = np.stack([torch.cat([row[name] for row in found]).double().cpu().numpy() for name in names], 1)
        means = dict(zip(names, subject_means(columns, row_subjects).mean(0).tolist(), strict=True))
        scores = torch.cat(overlaps).cpu().numpy()
        before, after = (np.nanmean(subject_means(scores[:, i], row_subjects), axis=0) for i in (0, 1))
        named = {f"dice/{name}": float(value) for name, value in zip(self.classes[1:], after, strict=True)}
        return means | {"dice_before": float(before.mean()), "dice": float(after.mean())} | named

    def _evaluate_batch(self, batch: Batch) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        assert batch.masks is not None
        fixed, moving = _pair(batch)
        truth, source = batch.masks.long().unbind(1)
        steps = self.network(fixed, moving)
        displacement = steps[-1].displacement
        ncc = self.similarity(fixed, warp(moving, displacement))
        values = {
            "loss": self.alpha * steps[-1].bending - ncc,
            "ncc_before": self.similarity(fixed, moving),
            "ncc": ncc,
            "folded": folded_fraction(steps),
        }
        warped = warp_labels(source, displacement)
        count = len(self.classes)
        return values, dice(source, truth, count), dice(warped, truth, count)


def _pair(batch: Batch) -> tuple[Tensor, Tensor]:
    fixed, moving = (batch.images.float() / 255).unbind(1)
    return fixed, moving
