"""Segmentation beside a pretext task on the same network, so that what the pretext taught is not forgotten.

Bai et al. (2019), section 2: L = L_pretext + beta L_segmentation, approximated by one step of the pretext task before
every beta steps of segmentation, as the two have different data.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor

from trainables.data.sampling.batches import Batch, Batches
from trainables.downstream.segmentation import Segmentation
from trainables.engine.task import Task


class MultiTask(Task):
    """Training of one network by two tasks with separate heads; validated by segmentation.

    Args:
        segmentation: takes the batches with masks.
        pretext: takes the batches without masks; it uses the same backbone and decoder.
    """

    monitor = "dice"

    def __init__(self, segmentation: Segmentation, pretext: Task) -> None:
        super().__init__()
        self.segmentation, self.pretext = segmentation, pretext
        self.division = "images" if segmentation.division == pretext.division == "images" else "none"

    def training_step(self, batch: Batch) -> dict[str, Tensor]:
        """Return the loss of the batch's task."""
        if batch.masks is not None:
            return self.segmentation.training_step(batch)
        losses = self.pretext.training_step(batch)
        return {"loss": losses["loss"], "pretext_loss": losses["loss"].detach()}

    def evaluate(self, batches: Iterable[Batch]) -> dict[str, float]:
        """Return the metrics of the segmentation task."""
        return self.segmentation.evaluate(batches)

    def before_epoch(self, epoch: int) -> None:
        """Prepare both tasks for an epoch."""
        self.segmentation.before_epoch(epoch)
        self.pretext.before_epoch(epoch)

    def after_step(self, progress: float) -> None:
        """Update both tasks after an optimizer step."""
        self.segmentation.after_step(progress)
        self.pretext.after_step(progress)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return the network's parameter groups, and those of the pretext task's head."""
        shared = {id(parameter) for parameter in self.segmentation.parameters()}
        own = [
            parameter
            for group in self.pretext.parameter_groups()
            for parameter in group["params"]
            if id(parameter) not in shared
        ]
        return [*self.segmentation.parameter_groups(), *([{"params": own}] if own else [])]


class Alternating(Batches):
    """One batch for the pretext task, then `beta` for segmentation, and so on to the end of segmentation's epoch.

    The pretext task's batches go on from one epoch of segmentation to the next, through its own epochs.

    Args:
        labelled: segmentation's batches.
        unlabelled: the pretext task's.
        beta: from 1 up.
    """

    def __init__(self, labelled: Batches, unlabelled: Batches, beta: int) -> None:
        super().__init__(labelled.store, labelled.rows(0), labelled.batch_size, labelled.seed)
        self._labelled, self._unlabelled, self._beta = labelled, unlabelled, beta

    def __len__(self) -> int:
        """Batches of both kinds in an epoch."""
        return len(self._labelled) + self._turns

    def epoch(
        self, epoch: int = 0, rank: int = 0, world_size: int = 1, device: torch.device | str = "cpu"
    ) -> Iterator[Batch]:
        """Yield the batches of one epoch of segmentation, with pretext batches in between."""
        others = self._others(epoch * self._turns, rank, world_size, device)
        for number, batch in enumerate(self._labelled.epoch(epoch, rank, world_size, device)):
            if number % self._beta == 0:
                yield next(others)
            yield batch

    @property
    def _turns(self) -> int:
        return -(-len(self._labelled) // self._beta)

    def _others(self, first: int, rank: int, world_size: int, device: torch.device | str) -> Iterator[Batch]:
        """Yield the pretext task's batches from number `first` on, over as many epochs as needed."""
        epoch, skipped = divmod(first, len(self._unlabelled))
        while True:
            for number, batch in enumerate(self._unlabelled.epoch(epoch, rank, world_size, device)):
                if number >= skipped:
                    yield batch
            epoch, skipped = epoch + 1, 0
