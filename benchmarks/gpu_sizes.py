"""Sizes of the GPU benchmark, and the clock that waits for a device."""

from __future__ import annotations

import time
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


FULL = BenchmarkSizes(torch.device("cuda", 0), ResNet50(), 224, 256, 64, 20, 16384, 8192, (1, 2, 4, 8))
TINY = BenchmarkSizes(torch.device("cpu"), TinyResNet(width=4), 32, 8, 4, 2, 16, 128, (1, 2))


def synchronized_time(device: torch.device) -> float:
    """Wait for the device to finish and return the current time in seconds."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
