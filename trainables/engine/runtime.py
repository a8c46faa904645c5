"""The small protocol between the training loop and whatever runs it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from trainables.engine.checkpoint import Checkpoints


class Runtime(Protocol):
    """One worker's view of where it runs: its rank and device, and how to report and keep what it learnt."""

    rank: int
    world_size: int
    device: torch.device

    def wrap(self, module: nn.Module) -> nn.Module:
        """`module` ready for training here: moved to the device, and synchronised with the other workers if any."""
        ...

    def mean(self, values: Tensor) -> Tensor:
        """The mean of `values` over the workers, the same on each."""
        ...

    def load(self) -> dict[str, Any] | None:
        """The last state that was saved whole, or None for a fresh start."""
        ...

    def save(self, state: Callable[[], dict[str, Any]], *, force: bool = False) -> None:
        """Keep `state()`; without `force` the runtime may skip it when the last one is recent. Only rank 0 writes.

        It may be written while training goes on.
        """
        ...

    def flush(self) -> None:
        """Wait until what was saved is written."""
        ...

    def report(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Hand the epoch's metrics to whoever watches; may raise to end the run."""
        ...


def best_device() -> torch.device:
    """The first CUDA device where there is one, else the CPU."""
    return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")


def to_device(module: nn.Module, device: torch.device) -> nn.Module:
    """`module` on `device`, its kernels with channels last: faster for convolutions on CPUs and on tensor cores."""
    if not any(parameter.ndim == 5 for parameter in module.parameters()):
        return module.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]
    module.to(device)
    for parameter in module.parameters():  # images beside them have four dimensions, which the layout of five refuses
        if parameter.ndim == 5:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last_3d)
    return module


class LocalRuntime:
    """One process: a laptop, a notebook, a test, or a single-worker trial inside its own process.

    Args:
        directory: where checkpoints are kept; None keeps none.
        on_report: called with (epoch, metrics); it may raise to end the run.
        device: defaults to the best there is.
        save_every: seconds between checkpoints that are not forced.
        on_save: called after each checkpoint, from another thread.
        clock: monotonic seconds.
    """

    rank = 0
    world_size = 1

    def __init__(
        self,
        directory: Path | None = None,
        on_report: Callable[[int, Mapping[str, float]], None] | None = None,
        device: torch.device | None = None,
        save_every: float = 15.0,
        on_save: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.device = device or best_device()
        self._checkpoints = Checkpoints(directory) if directory is not None else None
        self._on_report, self._on_save = on_report, on_save
        self._save_every, self._clock, self._saved_at = save_every, clock, clock()

    def wrap(self, module: nn.Module) -> nn.Module:
        """`module` on this runtime's device."""
        return to_device(module, self.device)

    def mean(self, values: Tensor) -> Tensor:
        """`values`: there is one worker."""
        return values

    def load(self) -> dict[str, Any] | None:
        """The last whole checkpoint, on the CPU."""
        return self._checkpoints.load() if self._checkpoints else None

    def save(self, state: Callable[[], dict[str, Any]], *, force: bool = False) -> None:
        """Write a checkpoint if `force` or if the last is older than `save_every` seconds."""
        if self._checkpoints is None or (not force and self._clock() - self._saved_at < self._save_every):
            return
        self._checkpoints.save(state(), self._on_save)
        self._saved_at = self._clock()

    def flush(self) -> None:
        """Wait for the writer."""
        if self._checkpoints is not None:
            self._checkpoints.wait()

    def report(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Pass the metrics on."""
        if self._on_report is not None:
            self._on_report(epoch, metrics)


def use_threads(count: int) -> None:
    """Let torch use `count` CPU threads in this process (at least one, at most what the machine has)."""
    torch.set_num_threads(max(1, min(count, os.cpu_count() or 1)))
