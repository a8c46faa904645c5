"""Random parameters for one shard of a logical batch, the same whatever the number of shards."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from trainables.common.seeds import derive


class BatchRNG:
    """Draws per-sample parameters for the whole logical batch and hands out this worker's rows.

    So the augmentation of a sample depends on the seed and its place in the logical batch only, never on how many
    workers share that batch.

    Args:
        seed: names the stream.
        total: samples in the logical batch, over all workers.
        first: this shard's first row in it.
        count: this shard's number of rows.
        device: where the drawn parameters go; drawing itself is done on the CPU.
        frames: of each sample, which share its parameters; a row is handed out for every frame.
        rows: of all those, the ones that are handed out; None for all.
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
        """Rows that are handed out."""
        return self.samples * self.frames if self._rows is None else len(self._rows)

    def _with(self, **changes: Any) -> BatchRNG:
        """The same but for these arguments, drawn from its beginning."""
        same = {
            "seed": self.seed,
            "total": self.total,
            "first": self.first,
            "count": self.samples,
            "device": self.device,
            "frames": self.frames,
            "rows": self._rows,
        }
        return BatchRNG(**{**same, **changes})

    def _shard(self, values: Tensor) -> Tensor:
        own = values[self.first : self.first + self.samples]
        own = own if self.frames == 1 else own.repeat_interleave(self.frames, 0)
        return to_device_async(own if self._rows is None else own[self._rows], self.device)

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """Float32 `(count, *shape)`, uniform in [low, high)."""
        return self._shard(torch.rand(self.total, *shape, generator=self._generator) * (high - low) + low)

    def normal(self, *shape: int) -> Tensor:
        """Float32 `(count, *shape)`, standard normal."""
        return self._shard(torch.randn(self.total, *shape, generator=self._generator))

    def chance(self, probability: float) -> Tensor:
        """Bool `(count,)`, true with `probability`."""
        return self._shard(torch.rand(self.total, generator=self._generator) < probability)

    def integers(self, low: int, high: int, *shape: int) -> Tensor:
        """Int64 `(count, *shape)`, uniform in [low, high)."""
        return self._shard(torch.randint(low, high, (self.total, *shape), generator=self._generator))

    def fork(self, *names: str | int) -> BatchRNG:
        """An independent draw for the same shard, by name: one for each view or operation."""
        return self._with(seed=derive(self.seed, *names))

    def on(self, device: torch.device | str) -> BatchRNG:
        """The same, its parameters handed out on another device."""
        return self._with(device=device)

    def of_rows(self, rows: Tensor) -> BatchRNG:
        """The same for some of the rows that a draw of all hands out: int64 `(count,)` on the CPU."""
        return self._with(rows=rows)

    def of_frames(self, frames: int) -> BatchRNG:
        """The same for samples of several frames each, so that the frames of a sequence are moved alike."""
        return self._with(frames=frames, rows=None)

    def part(self, first: int, count: int) -> BatchRNG:
        """The same randomness for `count` of this shard's rows, from its row `first` on, drawn from its beginning."""
        return self._with(first=self.first + first, count=count, rows=None)

    def field(self, *shape: int) -> Tensor:
        """Float32 `(count, *shape)` standard normal noise for pixels, drawn where it is used; each frame has its own.

        Each row has a stream of its own: a whole logical batch of pixel noise would be thrown away by every other
        worker. So the values do not depend on the shards, though on the kind of device; and one draw has one field.
        """
        generator = torch.Generator(device=self.device)
        noise = torch.empty(self.count, *shape, device=self.device)
        rows = range(self.count) if self._rows is None else self._rows.tolist()
        for own, row in zip(noise, rows, strict=True):
            own.normal_(generator=generator.manual_seed(derive(self.seed, "field", self.first * self.frames + row)))
        return noise


def to_device_async(values: Tensor, device: torch.device) -> Tensor:
    """`values` of the CPU on `device`, without waiting for what a GPU has still to do."""
    if device.type == "cuda":
        values = values.pin_memory()
    return values.to(device, non_blocking=True)
