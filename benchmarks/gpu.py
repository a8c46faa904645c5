"""GPU throughput: images per second, share of bf16 peak, compilation, loading, largest batches and concurrent trials.

    python -m benchmarks.gpu [--peak 989] [--budget 600] [--only NAME ...] [--json FILE]
    python -m benchmarks.gpu --device cpu

It needs only torch and the dependencies of `trainables`. Its tasks are SimCLR with an atrous ResNet-50 and DeepLabV3
fine-tuning, both at 224 px in bf16. The parts run in a fixed order, the most telling first, each in a process of its
own with a time limit; parts for which the budget of seconds leaves no time are skipped. Floating-point operations are
counted by torch. Throughput is compared with `--peak` TFLOP/s if given (989 on an H100 or H200 by their data sheets)
and with a large matrix product measured here. If lightly and Lightning are installed, they pretrain the same network
for comparison. `--device cpu` runs every part with tiny sizes, as a functional check: its figures mean nothing.
Exit codes: 0 if no part failed, 1 if one did, 2 without a GPU.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import logging
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
import torch.multiprocessing as mp

from benchmarks import evaluation, timed_parts
from benchmarks.gpu_lightly import by_lightly
from benchmarks.gpu_sizes import BenchmarkSizes, sizes_on, synchronized_time
from benchmarks.gpu_steps import Steps, augment, build_task, compile_steps, timed
from benchmarks.timed_parts import Part, PartSkipped
from trainables.augment.policy import Policy
from trainables.data.sampling.batches import Batches
from trainables.data.store.synthetic_store import synthetic_store
from trainables.downstream.losses import DiceCrossEntropy
from trainables.downstream.segmentation import Segmentation
from trainables.engine.optim.optimizers import Adam, Madgrad
from trainables.engine.runtime import LocalRuntime
from trainables.engine.settings import FitSettings
from trainables.engine.trainer import fit
from trainables.networks.deeplabv3 import DeepLabV3
from trainables.networks.resnet import TinyResNet
from trainables.pretext.simclr import SimCLR


def speed(name: str, options: argparse.Namespace, *, compiled: bool = False) -> dict[str, Any]:
    """Check and time the training steps of a task."""
    scale = sizes_on(options.device)
    steps = Steps(name, scale)
    flops = steps.flops()
    found: dict[str, Any] = steps.check()
    if compiled:
        found["compile_seconds"] = compile_steps(steps)
        found |= steps.check()
    found |= steps.timed()
    found["tflops"] = flops * found["images_per_second"] / steps.count / 1e12
    if options.peak:
        found["share_of_peak"] = found["tflops"] / options.peak
    if not compiled:
        augmenting = timed(lambda: augment(steps.task, steps.batch), scale)
        found["augmentation_share"] = augmenting * found["images_per_second"] / steps.count
    return found


def product(options: argparse.Namespace) -> dict[str, Any]:
    """Time one large bf16 matrix product."""
    scale = sizes_on(options.device)
    one, two = torch.randn(2, scale.matmul_size, scale.matmul_size, device=scale.device, dtype=torch.bfloat16)
    tflops = 2 * scale.matmul_size**3 / timed(lambda: torch.mm(one, two), scale) / 1e12
    return {"tflops": tflops, **({"share_of_peak": tflops / options.peak} if options.peak else {})}


def loading(options: argparse.Namespace) -> dict[str, Any]:
    """Time the loader alone: gathering, copying to the device, preparing in advance."""
    scale = sizes_on(options.device)
    store = synthetic_store(scale.pretext_batch * scale.steps, scale.size, 1)
    batches = Batches(store, np.arange(len(store.images)), scale.pretext_batch)
    list(batches.epoch(0, device=scale.device))
    started, images = synchronized_time(scale.device), 0
    for batch in batches.epoch(1, device=scale.device):
        images += len(batch.rows)
    return {"images_per_second": images / (synchronized_time(scale.device) - started)}


def loop(options: argparse.Namespace) -> dict[str, Any]:
    """Time the full training loop: loading, copying, augmentation, training."""
    scale = sizes_on(options.device)
    store = synthetic_store(scale.pretext_batch * scale.steps, scale.size, 1)
    task = SimCLR().build(scale.backbone.build(1), Policy(), store)
    batches = Batches(store, np.arange(scale.pretext_batch * scale.steps), scale.pretext_batch)
    result = fit(task, batches, None, FitSettings(2, scale.pretext_batch, Adam()), LocalRuntime(device=scale.device), 0)
    return {"images_per_second": result.history[-1]["images_per_second"]}


def settings(options: argparse.Namespace) -> dict[str, Any]:
    """Time fine-tuning with MADGRAD, and with cuDNN's heuristics instead of its measurements."""
    scale = sizes_on(options.device)
    found = {}
    ways = {"adam": (Adam(), True), "madgrad": (Madgrad(), True), "heuristics": (Adam(), False)}
    for name, (optimizer, measured) in ways.items():
        steps = Steps("DeepLabV3", scale, optimizer)
        torch.backends.cudnn.benchmark = measured
        found[f"{name}_images_per_second"] = steps.timed()["images_per_second"]
        del steps
        free(scale.device)
    return found


def overlapping(options: argparse.Namespace) -> dict[str, Any]:
    """Time the epochs of a small trial with and without overlapped evaluation."""
    return asdict(evaluation.measure(sizes_on(options.device).device, 1))


def peer(options: argparse.Namespace) -> dict[str, Any]:
    """Time SimCLR in lightly with Lightning."""
    if not all(map(importlib.util.find_spec, ("lightly", "pytorch_lightning"))):
        raise PartSkipped("lightly and Lightning are not both installed")
    return {"images_per_second": by_lightly(sizes_on(options.device))}


WAYS: Mapping[str, Callable[[BenchmarkSizes], dict[str, Any]]] = {
    "single_batch": lambda scale: {},
    "recompute": lambda scale: {"recompute": True},
    "micro_batches": lambda scale: {"micro_batch": 4 * scale.finetune_batch},
}
"""Settings for the largest batch by name."""


def largest(options: argparse.Namespace) -> dict[str, Any]:
    """Return the largest power-of-two batches on which SimCLR trains without running out of memory."""
    scale = sizes_on(options.device)
    return {name: largest_batch(scale, way(scale)) for name, way in WAYS.items()}


def largest_batch(scale: BenchmarkSizes, way: dict[str, Any]) -> int:
    """Return the largest batch that fits; each network is gone before the next one is built."""
    fits, count = 0, 8
    while count <= scale.max_batch and _fits(scale, way, count):
        fits, count = count, 2 * count
        free(scale.device)
    free(scale.device)
    return fits


def _fits(scale: BenchmarkSizes, way: dict[str, Any], count: int) -> bool:
    try:
        task, batches = build_task("SimCLR", scale, count)
        fit(task, batches, None, FitSettings(1, count, Adam(), **way), LocalRuntime(device=scale.device), 0)
    except torch.OutOfMemoryError:
        return False  # and its traceback, which holds the network, ends with this function
    return True


def free(device: torch.device) -> None:
    """Release the memory of what is no longer used."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def concurrent(options: argparse.Namespace) -> dict[str, Any]:
    """Time so many small trials at once, in images per second of all together."""
    scale = sizes_on(options.device)
    return {f"{count}_images_per_second": concurrent_throughput(count, scale) for count in scale.concurrent_trials}


def concurrent_throughput(count: int, scale: BenchmarkSizes) -> float:
    """Return the total images per second of `count` concurrent small trials, which begin at once."""
    context = mp.get_context("spawn")
    images, barrier = context.Array("d", count), context.Barrier(count)
    mp.spawn(small_trial, args=(scale, images, barrier), nprocs=count)
    return sum(images)


def small_trial(number: int, scale: BenchmarkSizes, images: Any, barrier: Any) -> None:
    """Train small trials for some seconds and store the images per second in `images[number]`.

    The clock starts when all processes have trained once.
    """
    torch.set_num_threads(1)
    store = synthetic_store(128, min(64, scale.size), 1)
    network = DeepLabV3(backbone=TinyResNet(), rates=(2, 4, 6), width=32).build(1, len(store.classes))
    task = Segmentation(network, DiceCrossEntropy(), Policy.mild(), store)
    batches = Batches(store, np.arange(128), 16, masks=True)
    runtime = LocalRuntime(device=scale.device)
    fit(task, batches, None, FitSettings(1, 16, Adam()), runtime, number)
    barrier.wait()
    started, trained = time.perf_counter(), 0
    while time.perf_counter() - started < scale.trial_seconds:
        fit(task, batches, None, FitSettings(2, 16, Adam()), runtime, number)
        trained += 2 * 128
    images[number] = trained / (time.perf_counter() - started)


def _part(name: str, seconds: float, run: Callable[[argparse.Namespace], Mapping[str, Any]]) -> Part:
    return Part(name, seconds, run, "benchmarks.gpu")


PARTS = (
    _part("product", 40, product),
    _part("simclr", 60, lambda options: speed("SimCLR", options)),
    _part("deeplabv3", 60, lambda options: speed("DeepLabV3", options)),
    _part("loading", 40, loading),
    _part("loop", 60, loop),
    _part("simclr_compiled", 120, lambda options: speed("SimCLR", options, compiled=True)),
    _part("deeplabv3_compiled", 120, lambda options: speed("DeepLabV3", options, compiled=True)),
    _part("settings", 60, settings),
    _part("concurrent", 120, concurrent),
    _part("overlapping", 60, overlapping),
    _part("lightly", 90, peer),
    _part("largest", 180, largest),
)
"""Parts in their order."""


def handed_on(part: Part, options: argparse.Namespace) -> list[str]:
    """Return the options that a part's process needs."""
    return ["--peak", str(options.peak)] if options.peak else []


def main() -> int:
    """Run the parts and return the exit code."""
    logging.basicConfig(level=logging.WARNING)
    parser = timed_parts.options_of(__doc__, PARTS, budget=600)
    parser.add_argument("--peak", type=float, help="peak bf16 throughput of the GPU, in TFLOP/s")
    return timed_parts.main(parser, PARTS, handed_on)


if __name__ == "__main__":
    sys.exit(main())
