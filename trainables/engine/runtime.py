"""Runtimes: the interface between the training loop and the process or worker group that runs it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from trainables.engine.checkpoint import PeriodicCheckpoint

EpochCallback = Callable[[int, Mapping[str, float]], None]
"""Function of the 1-based epoch and its metrics; it may raise an exception to end the run."""


SLOW_KERNEL = 15
"""Smallest side of a kernel, in pixels, whose channels-last backward pass is slow on CPUs."""


class Runtime(Protocol):
    """Interface of one training process: its place in the worker group, its device, checkpoints and reports.

    Attributes:
        rank: number of this worker, from 0 to `world_size` - 1.
        world_size: number of workers that share each logical batch.
        device: torch device of this worker's tensors.
    """

    rank: int
    world_size: int
    device: torch.device

    def wrap(self, module: nn.Module) -> nn.Module:
        """Return `module` moved to the device, and synchronized with the other workers if there are any."""
        ...

    def mean(self, values: Tensor) -> Tensor:
        """Return the mean of `values` over the workers, equal on each of them."""
        ...

    def broadcast(self, values: Tensor) -> Tensor:
        """Return the values of rank 0, equal on each worker."""
        ...

    def load(self) -> dict[str, Any] | None:
        """Return the last complete checkpoint, or None for a new run."""
        ...

    def save(self, state: Callable[[], dict[str, Any]], *, force: bool = False) -> None:
        """Save `state()` on rank 0, possibly in the background while training continues.

        Args:
            state: function that returns tensors and plain values.
            force: save even if the last checkpoint is recent.
        """
        ...

    def flush(self) -> None:
        """Wait until the last checkpoint is on disk."""
        ...

    def report(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Report the metrics of a 1-based epoch; may raise an exception to end the run."""
        ...


def best_device() -> torch.device:
    """Return the first CUDA device if there is one, else the CPU."""
    return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")


def to_device(module: nn.Module, device: torch.device) -> nn.Module:
    """Move `module` to `device` with channels-last kernels, which are faster on CPUs and on tensor cores."""
    if device.type == "cpu" and any(map(_rejects_channels_last, module.modules())):
        return module.to(device)
    if not any(parameter.ndim == 5 for parameter in module.parameters()):
        return module.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]
    module.to(device)
    for parameter in module.parameters():  # channels_last_3d applies to 5-dimensional kernels only
        if parameter.ndim == 5:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last_3d)
    return module


def _rejects_channels_last(module: nn.Module) -> bool:
    """Return True for a convolution whose channels-last backward pass is slow or unsafe on CPUs.

    oneDNN 3.12 (torch 2.13) has no fast one for overlapping kernels of 15 pixels and more, which takes about 80 times
    as long, and writes beyond its buffers in that of a strided 1x1 convolution with fewer than 8 input channels on CPUs
    with AVX2 only.
    """
    if not isinstance(module, nn.Conv2d):
        return False
    unsafe = module.kernel_size == (1, 1) and max(module.stride) > 1 and module.in_channels < 8
    slow = max(module.kernel_size) >= SLOW_KERNEL and min(module.stride) == 1  # a ViT's patches do not overlap
    return unsafe or slow


class LocalRuntime:
    """A single process: a laptop, a notebook, a test, or a trial with one worker.

    Args:
        directory: folder of the checkpoints; None saves none.
        on_report: called with each 1-based epoch and its metrics; it may raise an exception to end the run.
        device: torch device to train on; None chooses the first GPU, or the CPU if there is none.
        save_every: least number of seconds between checkpoints that are not forced.
        on_save: called by a background thread after each checkpoint.
        clock: monotonic time in seconds.

    Example:
        >>> runtime = LocalRuntime(on_report=lambda epoch, metrics: print(epoch, metrics["loss"]))
        >>> runtime.report(1, {"loss": 0.5})
        1 0.5
    """

    rank = 0
    world_size = 1

    def __init__(
        self,
        directory: Path | None = None,
        on_report: EpochCallback | None = None,
        device: torch.device | None = None,
        save_every: float = 15.0,
        on_save: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        set_gpu_flags()
        self.device = device or best_device()
        self._checkpoint = PeriodicCheckpoint(directory, save_every, on_save, clock)
        self._on_report = on_report

    def wrap(self, module: nn.Module) -> nn.Module:
        """Return `module` on this runtime's device."""
        return to_device(module, self.device)

    def mean(self, values: Tensor) -> Tensor:
        """Return `values` unchanged, as there is one worker."""
        return values

    def broadcast(self, values: Tensor) -> Tensor:
        """Return `values` unchanged, as there is one worker."""
        return values

    def load(self) -> dict[str, Any] | None:
        """Return the last complete checkpoint, its tensors on the CPU, or None for a new run."""
        return self._checkpoint.load()

    def save(self, state: Callable[[], dict[str, Any]], *, force: bool = False) -> None:
        """Save `state()` if `force` is true or the last checkpoint is at least `save_every` seconds old."""
        self._checkpoint.save(state, force=force)

    def flush(self) -> None:
        """Wait until the last checkpoint is on disk."""
        self._checkpoint.flush()

    def report(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Pass the epoch and its metrics to `on_report`."""
        if self._on_report is not None:
            self._on_report(epoch, metrics)


def of_rank_0(metrics: Mapping[str, float], runtime: Runtime) -> dict[str, float]:
    """Return rank 0's metrics, so that all workers decide alike: GPUs of different models round differently.

    Args:
        metrics: metrics of this worker; all workers have the same names in the same order.
        runtime: worker group.
    """
    if runtime.world_size == 1 or not metrics:
        return dict(metrics)
    values = torch.tensor(list(metrics.values()), dtype=torch.float64, device=runtime.device)
    return dict(zip(metrics, runtime.broadcast(values).tolist(), strict=True))


def set_gpu_flags() -> None:
    """Compute float32 on GPUs without TF32, which has 10 bits of mantissa, and let cuDNN measure which kernel is fast.

    Torch uses TF32 for convolutions by default.
    """
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False


def use_threads(count: int) -> None:
    """Limit torch to `count` CPU threads in this process, at least one and at most the number of processors."""
    torch.set_num_threads(max(1, min(count, os.cpu_count() or 1)))
