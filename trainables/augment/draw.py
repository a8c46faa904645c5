"""Random parameters for one shard of a logical batch, the same whatever the number of shards."""

from __future__ import annotations

import torch
from torch import Tensor

from trainables.seeds import derive


class Draw:
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
    """

    def __init__(
        self,
        seed: int,
        total: int,
        first: int,
        count: int,
        device: torch.device | str = "cpu",
        frames: int = 1,
    ) -> None:
        self.seed, self.total, self.first, self.frames = seed, total, first, frames
        self.samples, self.count = count, count * frames
        self.device = torch.device(device)
        self._generator = torch.Generator().manual_seed(seed)

    def _shard(self, values: Tensor) -> Tensor:
        own = values[self.first : self.first + self.samples]
        return own.repeat_interleave(self.frames, 0).to(self.device, non_blocking=True)

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

    def fork(self, *names: str | int) -> Draw:
        """An independent draw for the same shard, by name: one for each view or operation."""
        return Draw(derive(self.seed, *names), self.total, self.first, self.samples, self.device, self.frames)

    def of_frames(self, frames: int) -> Draw:
        """The same for samples of several frames each, so that the frames of a sequence are moved alike."""
        return Draw(self.seed, self.total, self.first, self.samples, self.device, frames)

    def part(self, first: int, count: int) -> Draw:
        """The same randomness for `count` of this shard's rows, from its row `first` on, drawn from its beginning."""
        return Draw(self.seed, self.total, self.first + first, count, self.device, self.frames)

    def field(self, *shape: int) -> Tensor:
        """Float32 `(count, *shape)` standard normal noise for pixels, drawn where it is used; each frame has its own.

        Each row has a stream of its own: a whole logical batch of pixel noise would be thrown away by every other
        worker. So the values do not depend on the shards, though on the kind of device; and one draw has one field.
        """
        generator = torch.Generator(device=self.device)
        noise = torch.empty(self.count, *shape, device=self.device)
        for row in range(self.count):
            noise[row].normal_(
                generator=generator.manual_seed(derive(self.seed, "field", self.first * self.frames + row))
            )
        return noise
