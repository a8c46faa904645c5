"""Batches of frames by indexing the store: order and randomness named by seed and epoch, sharded over workers."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from trainables.augment.batch_rng import BatchRNG
from trainables.common.errors import UserError
from trainables.common.seeds import derive, numpy_generator
from trainables.data.sampling.prefetch import prefetched
from trainables.data.store.frames import FrameStore

RowChooser = Callable[[int], np.ndarray]
"""Gives an epoch's rows of the store (int64) from the epoch's number."""


@dataclass(frozen=True)
class Batch:
    """One worker's part of a logical batch.

    Attributes:
        images: uint8 `(B, C, H, W)`.
        masks: uint8 class indices `(B, H, W)`, or None for unlabelled frames.
        rows: int64 `(B,)`, the frames' rows in the store.
        draw: this batch's named randomness.
    """

    images: Tensor
    masks: Tensor | None
    rows: Tensor
    draw: BatchRNG

    @property
    def device(self) -> torch.device:
        """Where the images are."""
        return self.images.device


def shared_batch(rows: int, batch_size: int, workers: int) -> int:
    """The batch size of which workers have equal shares even where there are fewer rows than one batch.

    Raises:
        UserError: there are fewer rows than workers.
    """
    if rows >= batch_size:
        return batch_size
    if rows < workers:
        raise UserError(f"{workers} workers have {rows} training images between them; take fewer workers")
    return rows if workers == 1 else rows - rows % workers


class Batches:
    """Epochs of shuffled logical batches over a frame store.

    Args:
        store: the decoded frames.
        rows: rows of the store, or a function of the epoch that gives them (one random frame a video, say); pairs of
            rows `(N, 2)` give batches whose images and masks have a second axis of two.
        batch_size: of the logical batch, over all workers.
        seed: names the order and the augmentation.
        masks: whether the batches carry masks; every row must then have one.
        shuffle: off for evaluation.
        steps: batches in an epoch, taken from shuffled passes over the rows that follow each other; None for one pass.
        keep_tail: whether the last, smaller batch is given; one left-over row joins the batch before it, as batch
            normalisation cannot be trained on a single image. Contrastive losses want full batches; a set smaller than
            one batch is given as one batch all the same.
    """

    def __init__(
        self,
        store: FrameStore,
        rows: np.ndarray | RowChooser,
        batch_size: int,
        seed: int = 0,
        *,
        masks: bool = False,
        shuffle: bool = True,
        keep_tail: bool = True,
        steps: int | None = None,
    ) -> None:
        self.store, self.batch_size, self.seed = store, batch_size, seed
        self._rows = rows
        self._masks, self._shuffle, self._keep_tail, self._steps = masks, shuffle, keep_tail, steps

    def rows(self, epoch: int = 0) -> np.ndarray:
        """The epoch's rows before shuffling."""
        return self._rows(epoch) if callable(self._rows) else self._rows

    def __len__(self) -> int:
        """Logical batches in an epoch."""
        return self._in_pass if self._steps is None else self._steps

    @property
    def _in_pass(self) -> int:
        full, tail = divmod(len(self.rows(0)), self.batch_size)
        return full + (1 if tail and (full == 0 or (self._keep_tail and tail > 1)) else 0)

    def epoch(
        self, epoch: int = 0, rank: int = 0, world_size: int = 1, device: torch.device | str = "cpu"
    ) -> Iterator[Batch]:
        """This worker's shard of every batch of the epoch; for a GPU made ready in a thread while it computes."""
        batches = self._epoch(epoch, rank, world_size, device)
        yield from prefetched(batches) if torch.device(device).type == "cuda" else batches

    def _epoch(self, epoch: int, rank: int, world_size: int, device: torch.device | str) -> Iterator[Batch]:
        if self._steps is None or not self._in_pass:
            yield from self._pass(epoch, 0, rank, world_size, device)
            return
        taken, (number, first) = 0, divmod(epoch * self._steps, self._in_pass)
        while taken < self._steps:
            for batch in itertools.islice(self._pass(number, first, rank, world_size, device), self._steps - taken):
                taken += 1
                yield batch
            number, first = number + 1, 0

    def _pass(self, number: int, start: int, rank: int, world_size: int, device: torch.device | str) -> Iterator[Batch]:
        """The batches of one shuffled pass over the rows, from the one at `start` on."""
        rows = self.rows(number)
        if self._shuffle:
            rows = rows[numpy_generator(self.seed, "order", number).permutation(len(rows))]
        count = self._in_pass
        for index in range(start, count):
            last = index == count - 1 and self._keep_tail
            logical = rows[index * self.batch_size : None if last else (index + 1) * self.batch_size]
            first, end = (len(logical) * rank) // world_size, (len(logical) * (rank + 1)) // world_size
            seed = derive(self.seed, "augment", number, index)
            draw = BatchRNG(seed, len(logical), first, end - first, device)
            yield self._gather(logical[first:end], draw)

    def _gather(self, rows: np.ndarray, draw: BatchRNG) -> Batch:
        images = torch.from_numpy(self.store.images[rows])
        masks = None
        if self._masks:
            masks = torch.from_numpy(self.store.masks[self.store.index["mask"][rows]])
        if draw.device.type == "cuda":
            images = images.pin_memory().to(draw.device, non_blocking=True)
            masks = masks.pin_memory().to(draw.device, non_blocking=True) if masks is not None else None
        return Batch(images, masks, torch.from_numpy(rows), draw)
