"""Random numbers for one shard of a logical batch, independent of the number of shards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from trainables.common.seeds import derive

CPU_FIELD_BLOCK, GPU_FIELD_BLOCK = 1, 32
"""Rows of a logical batch whose pixel noise is drawn at once."""


class BatchRNG:
    """Random number generator of one worker's shard of a logical batch.

    Per-sample parameters are drawn for the full logical batch, and the rows of this shard are returned. The
    augmentation of a sample thus depends on the seed and the sample's position in the logical batch, not on the number
    of workers.

    Args:
        seed: seed of the stream.
        total: number of samples in the logical batch, over all workers.
        first: index of this shard's first sample in the logical batch.
        count: number of samples in this shard.
        device: device of the returned tensors; parameters are drawn on the CPU.
        frames: number of frames per sample; all frames of a sample share its parameters, and each has one row.
        rows: indices of the rows to return, int64 on the CPU; None returns all rows.

    Example:
        >>> full = BatchRNG(seed=0, total=8, first=0, count=8).uniform(0, 1)
        >>> shard = BatchRNG(seed=0, total=8, first=4, count=4).uniform(0, 1)
        >>> torch.equal(shard, full[4:])
        True
    """

    def __init__(
        self,
        seed: int,
        total: int,
        first: int,
        count: int,
        device: torch.device | str = "cpu",
        frames: int = 1,
        rows: Tensor | None = None,
    ) -> None:
        self.seed, self.total, self.first, self.samples, self.frames = seed, total, first, count, frames
        self.device = torch.device(device)
        self._rows = rows
        self._generator = torch.Generator().manual_seed(seed)

    @property
    def count(self) -> int:
        """Number of rows in each result."""
        return self.samples * self.frames if self._rows is None else len(self._rows)

    def _with(self, **changes: Any) -> BatchRNG:
        """Return a copy with changed arguments, at the start of its stream."""
        arguments = {
            "seed": self.seed,
            "total": self.total,
            "first": self.first,
            "count": self.samples,
            "device": self.device,
            "frames": self.frames,
            "rows": self._rows,
        }
        return BatchRNG(**{**arguments, **changes})

    def _shard(self, values: Tensor) -> Tensor:
        """Return the rows of this shard from values of the full logical batch."""
        shard = values[self.first : self.first + self.samples]
        shard = shard if self.frames == 1 else shard.repeat_interleave(self.frames, 0)
        return to_device_async(shard if self._rows is None else shard[self._rows], self.device)

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """Return uniform values in [low, high), float32 `(count, *shape)`."""
        return self._shard(torch.rand(self.total, *shape, generator=self._generator) * (high - low) + low)

    def normal(self, *shape: int) -> Tensor:
        """Return standard normal values, float32 `(count, *shape)`."""
        return self._shard(torch.randn(self.total, *shape, generator=self._generator))

    def chance(self, probability: float) -> Tensor:
        """Return booleans that are true with `probability`, bool `(count,)`."""
        return self._shard(torch.rand(self.total, generator=self._generator) < probability)

    def integers(self, low: int, high: int, *shape: int) -> Tensor:
        """Return uniform integers in [low, high), int64 `(count, *shape)`."""
        return self._shard(torch.randint(low, high, (self.total, *shape), generator=self._generator))

    def fork(self, *names: str | int) -> BatchRNG:
        """Return an independent stream for this shard, named after a view or an operation."""
        return self._with(seed=derive(self.seed, *names))

    def on(self, device: torch.device | str) -> BatchRNG:
        """Return a copy whose results are on another device."""
        return self._with(device=device)

    def of_rows(self, rows: Tensor) -> BatchRNG:
        """Return a copy that returns only the rows with the indices `rows`, int64 `(count,)` on the CPU."""
        return self._with(rows=rows)

    def of_frames(self, frames: int) -> BatchRNG:
        """Return a copy for samples of several frames, which share their sample's parameters."""
        return self._with(frames=frames, rows=None)

    def part(self, first: int, count: int) -> BatchRNG:
        """Return a copy for `count` samples of this shard from index `first` on, at the start of its stream."""
        return self._with(first=self.first + first, count=count, rows=None)

    def field(self, *shape: int) -> Tensor:
        """Return standard normal pixel noise, float32 `(count, *shape)`, drawn on `device` for each frame separately.

        Each block of rows of the logical batch has a separate stream, so that a worker draws little more than the noise
        of its shard: on a CPU a block is one row, on a GPU several, which one kernel draws. The values do not depend on
        the shards, but on the type of device, and on a GPU on its model. Repeated calls return equal noise; use `fork`
        for more.
        """
        size = CPU_FIELD_BLOCK if self.device.type == "cpu" else GPU_FIELD_BLOCK
        rows = self.first * self.frames + (torch.arange(self.count) if self._rows is None else self._rows)
        blocks, place = (rows // size).unique(return_inverse=True)
        generator = generator_on(self.device)
        noise = torch.empty(len(blocks), size, *shape, device=self.device)
        for values, block in zip(noise, blocks.tolist(), strict=True):
            values.normal_(generator=generator.manual_seed(derive(self.seed, "field", block)))
        return _select(noise.flatten(0, 1), place * size + rows % size)


def generator_on(device: torch.device) -> torch.Generator:
    """Return a random number generator of a device."""
    return torch.Generator(device=device)


def _select(values: Tensor, rows: Tensor) -> Tensor:
    """Return the rows of `values` with indices `rows`, int64 on the CPU; a view where they follow each other."""
    first, count = int(rows[0]) if len(rows) else 0, len(rows)
    if torch.equal(rows, torch.arange(first, first + count)):
        return values[first : first + count]
    return values[to_device_async(rows, values.device)]


def to_device_async(values: Tensor, device: torch.device) -> Tensor:
    """Return a copy of CPU tensor `values` on `device`, without synchronizing a GPU."""
    if device.type == "cuda":
        values = values.pin_memory()
    return values.to(device, non_blocking=True)


def constant(values: Sequence[float], like: Tensor) -> Tensor:
    """Return numbers as a tensor of the type and device of `like`, without synchronizing a GPU."""
    return to_device_async(torch.tensor(values, dtype=like.dtype), like.device)
