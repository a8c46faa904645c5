"""Sizes of the GPU benchmark, and the clock that waits for a device."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch

from trainables.networks.backbones import BackboneSettings
from trainables.networks.resnet import ResNet50, TinyResNet


@dataclass(frozen=True)
class BenchmarkSizes:
    """Sizes and device of the benchmark.

    Attributes:
        device: device that runs every part.
        backbone: settings of both tasks' backbone.
        size: side of the images, in pixels.
        pretext_batch: number of images in a SimCLR batch.
        finetune_batch: number of images in a DeepLabV3 batch.
        steps: number of timed training steps.
        max_batch: upper limit of the search for the largest batch, in images.
        matmul_size: side of the square matrices in the timed product.
        concurrent_trials: numbers of small trials, one process each, to run concurrently.
        trial_seconds: seconds for which concurrent trials train.
    """

    device: torch.device
    backbone: BackboneSettings
    size: int
    pretext_batch: int
    finetune_batch: int
    steps: int
    max_batch: int
    matmul_size: int
    concurrent_trials: tuple[int, ...]
    trial_seconds: float


def sizes_on(device: torch.device | str) -> BenchmarkSizes:
    """Return the sizes of a device: those of the benchmark on a GPU, tiny ones on a CPU."""
    device = torch.device(device)
    if device.type == "cuda":
        return BenchmarkSizes(device, ResNet50(), 224, 256, 64, 20, 8192, 8192, (1, 2, 4, 8), 10.0)
    return BenchmarkSizes(device, TinyResNet(width=4), 32, 8, 4, 2, 16, 128, (1, 2), 0.5)


def synchronized_time(device: torch.device) -> float:
    """Wait for the device to finish and return the current time in seconds."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def waits_of(work: Callable[[], object], device: torch.device) -> list[str]:
    """Call `work` and return the messages of torch about operations that made the CPU wait for a GPU."""
    if device.type != "cuda":
        work()
        return []
    torch.cuda.synchronize(device)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            work()
        finally:
            torch.cuda.set_sync_debug_mode("default")
    return [str(each.message) for each in caught if "synchroniz" in str(each.message)]
