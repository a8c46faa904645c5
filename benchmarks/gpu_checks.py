"""Checks on a new GPU: waits, agreement with the CPU, half precision, a killed process, memory that runs out."""

from __future__ import annotations

import argparse
import copy
import os
import signal
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.multiprocessing as mp
from torch import Tensor

from benchmarks import gpu
from benchmarks.gpu_sizes import sizes_on, waits_of
from benchmarks.gpu_tasks import TASKS, batches, gradients, new_task, trained
from benchmarks.timed_parts import PartFailed, PartSkipped
from trainables.engine.optim.optimizers import SGD, Adam
from trainables.engine.precision import MixedPrecision
from trainables.engine.runtime import LocalRuntime, to_device

CPU = torch.device("cpu")

LOSS_TOLERANCE, GRADIENT_TOLERANCE = 1e-4, 1e-2
"""Largest differences from the CPU in float32: of losses, relative; of gradients, as a share of their largest value."""

EXPECTED_WAITS: Mapping[str, int] = {}
"""Waits in a training step by task, where there should be some."""


def waits(options: argparse.Namespace) -> dict[str, Any]:
    """Count the operations in a training step of each task that make the CPU wait for the GPU."""
    device = torch.device(options.device)
    found, messages = {}, []
    for name in TASKS:
        task = LocalRuntime(device=device).wrap(new_task(name)).train()
        optimizer = Adam().build(task.parameter_groups())
        (batch, *_) = list(batches().epoch(0, device=device))

        def step(task: Any = task, batch: Any = batch, optimizer: Any = optimizer) -> None:
            optimizer.zero_grad(set_to_none=True)
            task(batch)["loss"].backward()
            optimizer.step()
            task.after_step(0.5)

        step()
        seen = waits_of(step, device)
        found[name] = len(seen)
        if len(seen) > EXPECTED_WAITS.get(name, 0):
            messages.append(f"{name}: {len(seen)} waits, such as: {seen[0]}")
    if messages:
        raise PartFailed("\n".join(messages))
    return found


def agreement(options: argparse.Namespace) -> dict[str, Any]:
    """Compare losses and gradients with the CPU's in float32."""
    device, found, wrong = torch.device(options.device), dict[str, Any](), []
    for name in TASKS:
        (expected, reference), (loss, own) = gradients(name, CPU), gradients(name, device)
        off = abs(loss - expected) / max(abs(expected), 1e-6)
        shares = (
            (own[key] - value).abs().max() / value.abs().max().clamp_min(1e-4) for key, value in reference.items()
        )
        worst = max(map(float, shares))
        found[name] = {"loss": off, "gradient": worst}
        noisy = name in NOISY
        if not off <= (0.1 if noisy else LOSS_TOLERANCE) or not (noisy or worst <= GRADIENT_TOLERANCE):
            wrong.append(f"{name}: loss off by {off:.1e}, gradients by {worst:.1e}")
    if wrong:
        raise PartFailed("\n".join(wrong))
    return found


def _difference(found: Tensor, expected: Tensor) -> float:
    """Return the largest difference of gradients as a share of their largest value."""
    return float((found - expected).abs().max() / expected.abs().max().clamp_min(1e-4))


NOISY = ("denoise",)
"""Tasks with pixel noise, which a GPU draws from another stream: they are compared by their losses, roughly."""


def precision(options: argparse.Namespace) -> dict[str, Any]:
    """Train each task in bf16, and in fp16 on a GPU, to finite losses; let fp16 overflow and recover."""
    device, found, wrong = torch.device(options.device), dict[str, Any](), []
    types = ("bf16", "fp16") if device.type == "cuda" else ("bf16",)
    for kind in types:
        for name in TASKS:
            result = trained(name, LocalRuntime(device=device), precision=kind, optimizer=Adam())
            found[f"{name}_{kind}"] = result.history[-1]["loss"]
    if device.type == "cuda":
        wrong = overflow(device)
        found["overflow"] = "skipped one step and went on"
    if wrong:
        raise PartFailed("; ".join(wrong))
    return found


def overflow(device: torch.device) -> list[str]:
    """Train a step with a loss scale that overflows fp16, then another one, and return what went wrong."""
    mixed, task = MixedPrecision("fp16", device), to_device(new_task("segmentation"), device).train()
    optimizer = SGD(lr=0.01).build(task.parameter_groups())
    mixed.load_state_dict({**mixed.state_dict(), "scale": 2.0**60})
    before = copy.deepcopy(task.state_dict())
    stepped = []
    for batch in list(batches().epoch(0, device=device))[:2]:
        optimizer.zero_grad(set_to_none=True)
        with mixed.autocast():
            loss = task(batch)["loss"]
        mixed.backward(loss)
        mixed.unscale(optimizer)
        stepped.append(mixed.step(optimizer))
        if len(stepped) == 1:
            changed = [key for key, p in task.named_parameters() if not torch.equal(p, before[key])]
            mixed.load_state_dict({**mixed.state_dict(), "scale": 1024.0})
    wrong = [] if stepped == [False, True] else [f"steps were taken: {stepped}, expected [False, True]"]
    return wrong + ([f"an overflow changed {changed[0]}"] if changed else [])


def resume(options: argparse.Namespace) -> dict[str, Any]:
    """Kill a training process by SIGKILL and resume from its checkpoint, to the losses of an uninterrupted run."""
    device = torch.device(options.device)
    whole = trained("segmentation", LocalRuntime(device=device))
    with tempfile.TemporaryDirectory() as folder:
        process = mp.get_context("spawn").Process(target=_train_and_die, args=(folder, options.device))
        process.start()
        process.join()
        if process.exitcode != -signal.SIGKILL:
            raise PartFailed(f"the process ended with {process.exitcode}, expected {-signal.SIGKILL}")
        epochs: list[int] = []
        again = trained("segmentation", LocalRuntime(Path(folder), lambda epoch, _: epochs.append(epoch), device))
    losses = [[row["loss"] for row in result.history] for result in (whole, again)]
    off = float(np.abs(np.divide(*losses) - 1).max())
    if epochs[0] == 1 or not off <= 1e-2:
        raise PartFailed(f"epochs {epochs} were trained after the kill, losses off by {off:.1e}")
    return {"loss": off, "resumed_at_epoch": epochs[0]}


def _train_and_die(folder: str, device: str) -> None:
    def kill(epoch: int, _: object) -> None:
        if epoch == 3:
            runtime.flush()
            os.kill(os.getpid(), signal.SIGKILL)

    runtime = LocalRuntime(Path(folder), kill, torch.device(device), save_every=0)
    trained("segmentation", runtime)


def out_of_memory(options: argparse.Namespace) -> dict[str, Any]:
    """Run out of memory in a training step and train on in the same process."""
    device = torch.device(options.device)
    if device.type != "cuda":
        raise PartSkipped("a CPU's memory belongs to others, too")
    torch.cuda.set_per_process_memory_fraction(0.05, device)
    scale = replace(sizes_on(device), max_batch=2**20)
    fits = gpu.largest_batch(scale, {})
    held = torch.cuda.memory_allocated(device)
    torch.cuda.set_per_process_memory_fraction(1.0, device)
    result = trained("segmentation", LocalRuntime(device=device))
    if held > 64 * 2**20:
        raise PartFailed(f"{held / 2**20:.0f} MB are still held after running out of memory")
    return {"largest_batch": fits, "held_mb": held / 2**20, "loss": result.history[-1]["loss"]}
