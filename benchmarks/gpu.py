"""GPU throughput: images per second, share of bf16 peak, largest batches and concurrent trials.

    python -m benchmarks.gpu [--peak 989] [--json FILE]
    python -m benchmarks.gpu --rehearse

It needs only torch and the dependencies of `trainables`, and runs two tasks: SimCLR with an atrous ResNet-50 and
DeepLabV3 fine-tuning, both at 224 px in bf16. Floating-point operations are counted by torch. Throughput is compared
with `--peak` TFLOP/s if given (989 on an H200 by its data sheet) and with a large matrix product measured here. If
lightly and Lightning are installed, they pretrain the same network for comparison. `--rehearse` runs every part with
tiny sizes on a CPU, as a functional check: its figures are meaningless.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
import torch.multiprocessing as mp
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import evaluation, results
from benchmarks.gpu_lightly import by_lightly
from benchmarks.gpu_sizes import FULL, TINY, BenchmarkSizes, synchronized_time
from trainables.augment.policy import Policy
from trainables.data.sampling.batches import Batch, Batches
from trainables.data.store.synthetic_store import synthetic_store
from trainables.downstream.losses import DiceCrossEntropy
from trainables.downstream.segmentation import Segmentation
from trainables.engine.optim.optimizers import Adam
from trainables.engine.precision import autocast_dtype
from trainables.engine.runtime import LocalRuntime
from trainables.engine.settings import FitSettings
from trainables.engine.task import Task
from trainables.engine.trainer import fit
from trainables.networks.deeplabv3 import DeepLabV3
from trainables.networks.resnet import TinyResNet
from trainables.pretext.simclr import SimCLR


def build_task(name: str, scale: BenchmarkSizes, count: int) -> tuple[Task, Batches]:
    """Build the named task and a batch of `count` synthetic images."""
    store = synthetic_store(count, scale.size, 1)
    rows = np.arange(count)
    if name == "SimCLR":
        return SimCLR().build(scale.backbone.build(1), Policy(), store), Batches(store, rows, count)
    network = DeepLabV3(backbone=scale.backbone).build(1, len(store.classes))
    return Segmentation(network, DiceCrossEntropy(), Policy.mild(), store), Batches(store, rows, count, masks=True)


@dataclass(frozen=True)
class Speed:
    """Images per second, TFLOP/s and augmentation's share of a step (0 to 1) for one task."""

    task: str
    images_per_second: float
    tflops: float
    augmentation: float


def speed(name: str, scale: BenchmarkSizes, *, compiled: bool = False) -> Speed:
    """Time training steps (forward, backward, optimizer) on one batch in device memory."""
    count = scale.pretext_batch if name == "SimCLR" else scale.finetune_batch
    task, batches = build_task(name, scale, count)
    module = LocalRuntime(device=scale.device).wrap(task).train()
    if compiled:
        backbone: Any = task.backbone if name == "SimCLR" else task.network.backbone
        backbone.features = torch.compile(backbone.features)
    optimizer = Adam().build(task.parameter_groups())
    (batch,) = batches.epoch(device=scale.device)
    dtype = autocast_dtype("auto", scale.device)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(scale.device.type, dtype=dtype, enabled=dtype is not torch.float32):
            loss = module(batch)["loss"]
        loss.backward()
        optimizer.step()

    with FlopCounterMode(display=False) as counter:
        step()
    seconds = timed(step, scale)
    augmenting = timed(lambda: augment(task, batch), scale)
    flops = counter.get_total_flops() / seconds / 1e12
    return Speed(name + (", compiled" if compiled else ""), count / seconds, flops, augmenting / seconds)


def augment(task: Any, batch: Batch) -> None:
    """Apply the augmentations of one training step."""
    if batch.masks is not None:
        task.augment.apply(batch.images, batch.masks, batch.draw.fork("again"))
        return
    for view in (0, 1):
        task.augment.apply(batch.images, None, batch.draw.fork("view", view))


def timed(step: Callable[[], None], scale: BenchmarkSizes) -> float:
    """Return the mean seconds of a step, after three warm-up steps."""
    for _ in range(3):
        step()
    started = synchronized_time(scale.device)
    for _ in range(scale.steps):
        step()
    return (synchronized_time(scale.device) - started) / scale.steps


def product_tflops(scale: BenchmarkSizes) -> float:
    """Return the TFLOP/s of one large bf16 matrix product."""
    one, two = torch.randn(2, scale.matmul_size, scale.matmul_size, device=scale.device, dtype=torch.bfloat16)
    return 2 * scale.matmul_size**3 / timed(lambda: torch.mm(one, two).sum(), scale) / 1e12


def largest_batch(scale: BenchmarkSizes, settings: dict[str, Any]) -> int:
    """Return the largest power-of-two batch on which SimCLR trains without running out of memory."""
    fits, count = 0, 8
    while count <= scale.max_batch:
        task, batches = build_task("SimCLR", scale, count)
        try:
            fit(task, batches, None, FitSettings(1, count, Adam(), **settings), LocalRuntime(device=scale.device), 0)
        except torch.OutOfMemoryError:
            break
        fits, count = count, 2 * count
        del task
        if scale.device.type == "cuda":
            torch.cuda.empty_cache()
    return fits


def small_trial(number: int, scale: BenchmarkSizes, seconds: float, images: Any) -> None:
    """Train small trials for `seconds` and store the images per second in `images[number]`."""
    torch.set_num_threads(1)
    store = synthetic_store(128, min(64, scale.size), 1)
    network = DeepLabV3(backbone=TinyResNet(), rates=(2, 4, 6), width=32).build(1, len(store.classes))
    task = Segmentation(network, DiceCrossEntropy(), Policy.mild(), store)
    batches = Batches(store, np.arange(128), 16, masks=True)
    runtime = LocalRuntime(device=scale.device)
    fit(task, batches, None, FitSettings(1, 16, Adam()), runtime, number)
    started = time.perf_counter()
    while time.perf_counter() - started < seconds:
        fit(task, batches, None, FitSettings(2, 16, Adam()), runtime, number)
        images[number] += 2 * 128
    images[number] /= time.perf_counter() - started


def concurrent_throughput(count: int, scale: BenchmarkSizes) -> float:
    """Return the total images per second of `count` concurrent small trials."""
    images = mp.get_context("spawn").Array("d", count)
    mp.spawn(small_trial, args=(scale, 10.0 if scale.device.type == "cuda" else 1.0, images), nprocs=count)
    return sum(images)


def loop_throughput(scale: BenchmarkSizes) -> float:
    """Return the images per second of the full training loop: loading, copying, augmentation, training."""
    store = synthetic_store(scale.pretext_batch * scale.steps, scale.size, 1)
    task = SimCLR().build(scale.backbone.build(1), Policy(), store)
    batches = Batches(store, np.arange(scale.pretext_batch * scale.steps), scale.pretext_batch)
    result = fit(task, batches, None, FitSettings(2, scale.pretext_batch, Adam()), LocalRuntime(device=scale.device), 0)
    return result.history[-1]["images_per_second"]


def measure_all(scale: BenchmarkSizes, peak: float | None, result: dict[str, Any]) -> Iterator[str]:
    """Run every part, add its figures to `result` and yield a line of text for each."""
    product = product_tflops(scale)
    result["product_tflops"] = product
    yield f"a matrix product of {scale.matmul_size} x {scale.matmul_size} in bf16: {product:.0f} TFLOP/s"
    for name, compiled in (("SimCLR", False), ("SimCLR", True), ("DeepLabV3", False), ("DeepLabV3", True)):
        found = speed(name, scale, compiled=compiled)
        result[found.task] = asdict(found)
        shares = f"{found.tflops / product:.0%} of the matrix product"
        shares += f", {found.tflops / peak:.0%} of the peak" if peak else ""
        head = f"{found.task}: {found.images_per_second:.0f} images/s, {found.tflops:.1f} TFLOP/s ({shares})"
        yield f"{head}, augmentation {found.augmentation:.1%} of the step"
    result["loop"] = loop_throughput(scale)
    yield f"SimCLR, full training loop: {result['loop']:.0f} images/s"
    found_epochs = evaluation.measure(scale.device, 1)
    result["evaluation"] = asdict(found_epochs)
    yield f"a small trial: {evaluation.summary(found_epochs)}"
    if all(map(importlib.util.find_spec, ("lightly", "pytorch_lightning"))):
        result["lightly"] = by_lightly(scale)
        ratio = result["loop"] / result["lightly"]
        yield f"lightly with Lightning: {result['lightly']:.0f} images/s; speed-up of ours {ratio:.1f}x"
    else:
        yield "lightly with Lightning: not installed"
    part = 4 * scale.finetune_batch
    ways: dict[str, dict[str, Any]] = {
        "single batch": {},
        "activation recomputation": {"recompute": True},
        f"gradient caching, micro-batches of {part}": {"micro_batch": part},
    }
    for way, settings in ways.items():
        result[f"largest batch, {way}"] = largest_batch(scale, settings)
        yield f"largest batch of SimCLR, {way}: {result[f'largest batch, {way}']} (searched up to {scale.max_batch})"
    for count in scale.concurrent_trials:
        result[f"{count} trials"] = concurrent_throughput(count, scale)
        yield f"{count} concurrent small trials: {result[f'{count} trials']:.0f} images/s in total"


def main() -> None:
    """Run every part and print one line for each result."""
    parser = results.parser(__doc__)
    parser.add_argument("--peak", type=float, help="peak bf16 throughput of the GPU, in TFLOP/s")
    parser.add_argument("--rehearse", action="store_true", help="run every part with tiny sizes on the CPU")
    options = parser.parse_args()
    if not options.rehearse and not torch.cuda.is_available():
        parser.error("no GPU found. Fix: run on a machine with a GPU, or use --rehearse to check every part on the CPU")
    scale = TINY if options.rehearse else FULL
    device = (
        torch.cuda.get_device_name() if scale.device.type == "cuda" else "CPU rehearsal: the figures are meaningless"
    )
    result: dict[str, Any] = {"device": device, "torch": torch.__version__}
    print(f"{device}, torch {torch.__version__}")
    for line in measure_all(scale, options.peak, result):
        print(line, flush=True)
    results.write(options.json, result)


if __name__ == "__main__":
    main()
