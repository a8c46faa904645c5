"""Training steps that the GPU benchmark times."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch._dynamo.utils import counters
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.gpu_sizes import BenchmarkSizes, synchronized_time, waits_of
from benchmarks.timed_parts import PartFailed, PartSkipped
from trainables.augment.policy import Policy
from trainables.data.sampling.batches import Batch, Batches
from trainables.data.store.synthetic_store import synthetic_store
from trainables.downstream.losses import DiceCrossEntropy
from trainables.downstream.segmentation import Segmentation
from trainables.engine.compilation import compile_networks, reason_against
from trainables.engine.optim.optimizers import Adam, Optimizer
from trainables.engine.precision import autocast_dtype
from trainables.engine.runtime import LocalRuntime
from trainables.engine.task import Task
from trainables.networks.deeplabv3 import DeepLabV3
from trainables.pretext.simclr import SimCLR

LOSS_TOLERANCE = 0.05
"""Largest relative difference between the losses of a batch in bf16 and in float32."""


def build_task(name: str, scale: BenchmarkSizes, count: int) -> tuple[Task, Batches]:
    """Build the named task and a batch of `count` synthetic images."""
    store = synthetic_store(count, scale.size, 1)
    rows = np.arange(count)
    torch.manual_seed(0)
    if name == "SimCLR":
        return SimCLR().build(scale.backbone.build(1), Policy(), store), Batches(store, rows, count)
    network = DeepLabV3(backbone=scale.backbone).build(1, len(store.classes))
    return Segmentation(network, DiceCrossEntropy(), Policy.mild(), store), Batches(store, rows, count, masks=True)


class Steps:
    """Training steps (forward, backward, optimizer) on one batch in device memory.

    Args:
        name: "SimCLR" or "DeepLabV3".
        scale: sizes and device.
        optimizer: settings of the optimizer.
    """

    def __init__(self, name: str, scale: BenchmarkSizes, optimizer: Optimizer | None = None) -> None:
        self.count = scale.pretext_batch if name == "SimCLR" else scale.finetune_batch
        self.task, batches = build_task(name, scale, self.count)
        self.model = LocalRuntime(device=scale.device).wrap(self.task).train()
        self.optimizer = (optimizer or Adam()).build(self.task.parameter_groups())
        (self.batch,) = batches.epoch(device=scale.device)
        self.scale, self.dtype = scale, autocast_dtype("auto", scale.device)

    def loss(self, dtype: torch.dtype) -> torch.Tensor:
        """Return the loss of the batch, its forward pass in `dtype`."""
        with torch.autocast(self.scale.device.type, dtype=dtype, enabled=dtype is not torch.float32):
            found: torch.Tensor = self.model(self.batch)["loss"]
        return found

    def step(self) -> None:
        """Train the network for one step."""
        self.optimizer.zero_grad(set_to_none=True)
        self.loss(self.dtype).backward()
        self.optimizer.step()

    def flops(self) -> int:
        """Return the floating-point operations of a step; Dynamo would skip a network that is first called here."""
        with FlopCounterMode(display=False) as counter:
            self.step()
        return int(counter.get_total_flops())

    def check(self) -> dict[str, float]:
        """Compare the loss in the benchmark's precision with that in float32.

        Raises:
            PartFailed: they differ by more than `LOSS_TOLERANCE`, or one is not finite.
        """
        exact, found = (float(self.loss(dtype)) for dtype in (torch.float32, self.dtype))
        if not abs(found - exact) <= LOSS_TOLERANCE * abs(exact):
            raise PartFailed(f"the loss is {found} in {self.dtype}, expected {exact} as in float32")
        return {"loss": found, "loss_float32": exact}

    def timed(self) -> dict[str, Any]:
        """Return images per second, waits in a step and the memory's peak in GB."""
        if self.scale.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.scale.device)
        rate = self.count / timed(self.step, self.scale)
        waits = waits_of(self.step, self.scale.device)
        cuda = self.scale.device.type == "cuda"
        peak = torch.cuda.max_memory_allocated(self.scale.device) / 1e9 if cuda else 0.0
        return {"images_per_second": rate, "waits": len(waits), "peak_gb": peak}


def compile_steps(steps: Steps) -> float:
    """Compile the networks, train a step and return the seconds that it took.

    Raises:
        PartSkipped: networks are not compiled on this machine.
        PartFailed: the compiler did not compile them.
    """
    reason = reason_against(steps.scale.device)
    if reason is not None:
        raise PartSkipped(f"not compiled, as {reason}")
    counters.clear()
    compile_networks(steps.task, steps.scale.device)
    began = synchronized_time(steps.scale.device)
    steps.step()
    if not counters["stats"]["unique_graphs"]:
        raise PartFailed("torch.compile compiled nothing")
    return synchronized_time(steps.scale.device) - began


def augment(task: Any, batch: Batch) -> None:
    """Apply the augmentations of one training step."""
    if batch.masks is not None:
        task.augment.apply(batch.images, batch.masks, batch.draw.fork("again"))
        return
    for view in (0, 1):
        task.augment.apply(batch.images, None, batch.draw.fork("view", view))


def timed(step: Callable[[], object], scale: BenchmarkSizes) -> float:
    """Return the mean seconds of a step, after three warm-up steps."""
    for _ in range(3):
        step()
    started = synchronized_time(scale.device)
    for _ in range(scale.steps):
        step()
    return (synchronized_time(scale.device) - started) / scale.steps
