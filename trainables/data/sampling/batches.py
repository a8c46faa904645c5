"""Batches of frames by indexing the store; order and augmentation are seeded by epoch, batches sharded over workers."""

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
from trainables.data.sampling.prefetch import prefetch
from trainables.data.store.frames import FrameStore

RowChooser = Callable[[int], np.ndarray]
"""Function from the number of an epoch to that epoch's rows of the store (int64)."""


@dataclass(frozen=True)
class Batch:
    """One worker's part of a logical batch.

    Attributes:
        images: uint8 `(B, C, H, W)`.
        masks: uint8 class indices `(B, H, W)`, or None for unlabelled frames.
        rows: int64 `(B,)`, the frames' rows in the store.
        draw: random number generator of this batch, independent of the number of workers.
    """

    images: Tensor
    masks: Tensor | None
    rows: Tensor
    draw: BatchRNG

    @property
    def device(self) -> torch.device:
        """Device that holds the images."""
        return self.images.device


def shared_batch(rows: int, batch_size: int, workers: int) -> int:
    """Return the batch size that workers can share equally, where there may be fewer rows than one batch.

    Raises:
        UserError: there are fewer rows than workers.
    """
    return batch_size if rows >= batch_size else equal_parts(rows, workers)


def equal_parts(rows: int, workers: int) -> int:
    """Return the largest number of rows, at most `rows`, that workers can share equally.

    Raises:
        UserError: there are fewer rows than workers.
    """
    if rows < workers:
        raise UserError(
            f"too few training images (found {rows} for {workers} workers). Fix: use at most {rows} workers"
        )
    return rows - rows % workers


class Batches:
    """Epochs of shuffled logical batches over a frame store.

    Example:
        >>> from trainables.data.store.synthetic_store import synthetic_store
        >>> store = synthetic_store(sequences=2, size=16, frames=5)
        >>> batches = Batches(store, store.rows("train"), batch_size=4, masks=True)
        >>> [tuple(batch.images.shape) for batch in batches.epoch(0)]
        [(4, 1, 16, 16), (4, 1, 16, 16), (2, 1, 16, 16)]

    Args:
        store: the decoded frames.
        rows: rows of the store, or a function from the epoch to its rows (one random frame per video, say); pairs of
            rows `(N, 2)` yield batches whose images and masks have a second axis of two.
        batch_size: size of the logical batch, summed over all workers, from 1 up.
        seed: seed of the order and of the augmentation.
        masks: True for batches with masks; every row must then have one.
        shuffle: True for a random order in each epoch; False for evaluation.
        steps: number of batches in an epoch, taken from consecutive shuffled passes over the rows; None for one pass.
        keep_tail: True to yield the last, smaller batch, as `drop_last=False` of PyTorch's DataLoader does; a single
            left-over row joins the batch before it, as batch normalization cannot be trained on one image; for the same
            reason a set of one row is a batch of this row twice if it is shuffled. False suits contrastive losses,
            which need full batches; a set smaller than one batch is one batch in either case, less rows that workers
            cannot share equally.
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
        """Return the epoch's rows before shuffling."""
        return self._rows(epoch) if callable(self._rows) else self._rows

    def __len__(self) -> int:
        """Return the number of logical batches in an epoch."""
        return self._in_pass if self._steps is None else self._steps

    @property
    def _in_pass(self) -> int:
        full, tail = divmod(len(self.rows(0)), self.batch_size)
        return full + (1 if tail and (full == 0 or (self._keep_tail and tail > 1)) else 0)

    def epoch(
        self, epoch: int = 0, rank: int = 0, world_size: int = 1, device: torch.device | str = "cpu"
    ) -> Iterator[Batch]:
        """Yield this worker's shard of every batch of the epoch; a background thread prepares them for a GPU."""
        batches = self._epoch(epoch, rank, world_size, device)
        if torch.device(device).type == "cuda":
            batches = prefetch(_on_stream(batches, torch.cuda.current_stream(device)))
        yield from batches

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
        """Yield the batches of one shuffled pass over the rows, beginning with number `start`."""
        rows = self.rows(number)
        if self._shuffle and len(rows) == 1:
            rows = np.repeat(rows, 2, axis=0)
        if self._shuffle:
            rows = rows[numpy_generator(self.seed, "order", number).permutation(len(rows))]
        count = self._in_pass
        for index in range(start, count):
            last = index == count - 1 and self._keep_tail
            logical = rows[index * self.batch_size : None if last else (index + 1) * self.batch_size]
            if not self._keep_tail:
                logical = logical[: equal_parts(len(logical), world_size)]
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


def _on_stream(batches: Iterator[Batch], stream: torch.cuda.Stream) -> Iterator[Batch]:
    """Yield batches that are copied in the order of a GPU's stream, though another thread asks for them."""
    with torch.cuda.stream(stream):
        yield from batches
