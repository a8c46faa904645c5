"""On a GPU: images a second, share of its bf16 peak, augmentation's share, largest batches, many trials at once.

    python -m benchmarks.gpu [--peak 989] [--json FILE]
    python -m benchmarks.gpu --rehearse

It needs nothing beyond torch and what `trainables` imports, and runs the platform's own tasks: SimCLR with an atrous
ResNet-50 and DeepLabV3 finetuning, both at 224 px in bf16. Floating-point operations are counted by torch; the peak is
`--peak` TFLOP/s where given (989 on an H200 by its data sheet), and always also what one large product reaches here.
lightly with Lightning pretrains the same network beside it, where both are installed. `--rehearse` runs every part tiny
and on a CPU, to see that it works: its figures mean nothing.
"""

from __future__ import annotations

import importlib.util
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
import torch.multiprocessing as mp
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import evaluation, results
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
from trainables.networks.backbones import BackboneSettings
from trainables.networks.deeplabv3 import DeepLabV3
from trainables.networks.resnet import ResNet50, TinyResNet
from trainables.networks.torchvision_ops import torchvision
from trainables.pretext.simclr import SimCLR


@dataclass(frozen=True)
class Scale:
    """How large everything is.

    Attributes:
        device: where it runs.
        backbone: of both tasks.
        size: pixels a side.
        pretext: images in a batch.
        finetune: likewise.
        steps: that are timed.
        most: images at which the search for the largest batch ends.
        product: side of the matrices whose product is timed.
        trials: processes at once, of small trials.
    """

    device: torch.device
    backbone: BackboneSettings
    size: int
    pretext: int
    finetune: int
    steps: int
    most: int
    product: int
    trials: tuple[int, ...]


FULL = Scale(torch.device("cuda", 0), ResNet50(), 224, 256, 64, 20, 16384, 8192, (1, 2, 4, 8))
TINY = Scale(torch.device("cpu"), TinyResNet(width=4), 32, 8, 4, 2, 16, 128, (1, 2))


def synchronised(device: torch.device) -> float:
    """The time, once the device has done everything."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def task_of(name: str, scale: Scale, count: int) -> tuple[Task, Batches]:
    """A task and its batches of so many images."""
    store = synthetic_store(count, scale.size, 1)
    rows = np.arange(count)
    if name == "SimCLR":
        return SimCLR().build(scale.backbone.build(1), Policy(), store), Batches(store, rows, count)
    network = DeepLabV3(backbone=scale.backbone).build(1, len(store.classes))
    return Segmentation(network, DiceCrossEntropy(), Policy.mild(), store), Batches(store, rows, count, masks=True)


@dataclass(frozen=True)
class Speed:
    """Of a task: images a second, TFLOP/s of its convolutions and products, and augmentation's share of a step."""

    task: str
    images_per_second: float
    tflops: float
    augmentation: float


def speed(name: str, scale: Scale, *, compiled: bool = False) -> Speed:
    """Steps on one batch that lies on the device: forward, backward, optimizer."""
    count = scale.pretext if name == "SimCLR" else scale.finetune
    task, batches = task_of(name, scale, count)
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
    """What a step draws and moves."""
    if batch.masks is not None:
        task.augment.apply(batch.images, batch.masks, batch.draw.fork("again"))
        return
    for view in (0, 1):
        task.augment.apply(batch.images, None, batch.draw.fork("view", view))


def timed(step: Callable[[], None], scale: Scale) -> float:
    """Seconds of a step."""
    for _ in range(3):
        step()
    started = synchronised(scale.device)
    for _ in range(scale.steps):
        step()
    return (synchronised(scale.device) - started) / scale.steps


def product_tflops(scale: Scale) -> float:
    """What one large product reaches in bf16."""
    one, two = torch.randn(2, scale.product, scale.product, device=scale.device, dtype=torch.bfloat16)
    return 2 * scale.product**3 / timed(lambda: torch.mm(one, two).sum(), scale) / 1e12


def largest_batch(scale: Scale, settings: dict[str, Any]) -> int:
    """The largest power of two that SimCLR trains on without running out of the device's memory."""
    fits, count = 0, 8
    while count <= scale.most:
        task, batches = task_of("SimCLR", scale, count)
        try:
            fit(task, batches, None, FitSettings(1, count, Adam(), **settings), LocalRuntime(device=scale.device), 0)
        except torch.OutOfMemoryError:
            break
        fits, count = count, 2 * count
        del task
        if scale.device.type == "cuda":
            torch.cuda.empty_cache()
    return fits


def small_trial(number: int, scale: Scale, seconds: float, images: Any) -> None:
    """One of several trials on the device, each a process: images in so many seconds."""
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


def at_once(count: int, scale: Scale) -> float:
    """Images a second of so many small trials together."""
    images = mp.get_context("spawn").Array("d", count)
    mp.spawn(small_trial, args=(scale, 10.0 if scale.device.type == "cuda" else 1.0, images), nprocs=count)
    return sum(images)


class Pictures(torch.utils.data.Dataset[Any]):
    """PIL images in memory, through lightly's transform."""

    def __init__(self, size: int, count: int) -> None:
        from lightly.transforms import SimCLRTransform

        self._transform, self._count = SimCLRTransform(input_size=size), count
        self._images = synthetic_store(64, size, 1).images[:, 0]

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Any:
        from PIL import Image

        return self._transform(Image.fromarray(self._images[index % 64]).convert("RGB"))


def by_lightly(scale: Scale) -> float:
    """Images a second of lightly with Lightning: SimCLR with the same backbone, its loader on all cores."""
    torchvision()
    import pytorch_lightning
    from lightly.loss import NTXentLoss
    from lightly.models.modules import SimCLRProjectionHead

    marks: list[float] = []

    class Model(pytorch_lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.backbone = scale.backbone.build(3)
            width = self.backbone.channels[-1]
            self.head, self.loss = SimCLRProjectionHead(width, width, 128), NTXentLoss(0.5)

        def training_step(self, batch: Any, number: int) -> Any:
            marks.append(synchronised(scale.device) if number in (5, 5 + scale.steps) else 0.0)
            one, two = (self.head(self.backbone.features(view)[-1].mean((2, 3))) for view in batch)
            return self.loss(one, two)

        def configure_optimizers(self) -> Any:
            return torch.optim.Adam(self.parameters(), lr=1e-3)

    images = Pictures(scale.size, scale.pretext * (scale.steps + 6))
    workers = os.cpu_count() or 1 if scale.device.type == "cuda" else 0
    loader = torch.utils.data.DataLoader(images, scale.pretext, num_workers=workers, pin_memory=workers > 0)
    trainer = pytorch_lightning.Trainer(
        max_steps=scale.steps + 6,
        accelerator="gpu" if scale.device.type == "cuda" else "cpu",
        devices=1,
        precision="bf16-mixed",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Model(), loader)
    begun, ended = (mark for mark in marks if mark)
    return scale.pretext * scale.steps / (ended - begun)


def through_the_loop(scale: Scale) -> float:
    """Images a second of the whole loop: batches from the store, copies, augmentation, training."""
    store = synthetic_store(scale.pretext * scale.steps, scale.size, 1)
    task = SimCLR().build(scale.backbone.build(1), Policy(), store)
    batches = Batches(store, np.arange(scale.pretext * scale.steps), scale.pretext)
    result = fit(task, batches, None, FitSettings(2, scale.pretext, Adam()), LocalRuntime(device=scale.device), 0)
    return result.history[-1]["images_per_second"]


def lines(scale: Scale, peak: float | None, result: dict[str, Any]) -> Iterator[str]:
    """Each part's line, as it is measured."""
    product = product_tflops(scale)
    result["product_tflops"] = product
    yield f"a product of {scale.product} x {scale.product} in bf16: {product:.0f} TFLOP/s"
    for name, compiled in (("SimCLR", False), ("SimCLR", True), ("DeepLabV3", False), ("DeepLabV3", True)):
        found = speed(name, scale, compiled=compiled)
        result[found.task] = asdict(found)
        shares = f"{found.tflops / product:.0%} of the product's"
        shares += f", {found.tflops / peak:.0%} of the peak" if peak else ""
        head = f"{found.task}: {found.images_per_second:.0f} images/s, {found.tflops:.1f} TFLOP/s ({shares})"
        yield f"{head}, augmentation {found.augmentation:.1%} of the step"
    result["loop"] = through_the_loop(scale)
    yield f"SimCLR through the whole loop: {result['loop']:.0f} images/s"
    found_epochs = evaluation.measure(scale.device, 1)
    result["evaluation"] = asdict(found_epochs)
    yield f"a small trial: {evaluation.line(found_epochs)}"
    if all(map(importlib.util.find_spec, ("lightly", "pytorch_lightning"))):
        result["lightly"] = by_lightly(scale)
        ratio = result["loop"] / result["lightly"]
        yield f"lightly with Lightning: {result['lightly']:.0f} images/s; ours is {ratio:.1f}x"
    else:
        yield "lightly with Lightning: not installed"
    part = 4 * scale.finetune
    ways: dict[str, dict[str, Any]] = {
        "at once": {},
        "recompute": {"recompute": True},
        f"cached gradients, {part} at a time": {"micro_batch": part},
    }
    for way, settings in ways.items():
        result[f"largest batch, {way}"] = largest_batch(scale, settings)
        yield f"largest batch of SimCLR, {way}: {result[f'largest batch, {way}']} (searched up to {scale.most})"
    for count in scale.trials:
        result[f"{count} trials"] = at_once(count, scale)
        yield f"{count} small trials at once: {result[f'{count} trials']:.0f} images/s together"


def main() -> None:
    """Print a line a part."""
    parser = results.parser(__doc__)
    parser.add_argument("--peak", type=float, help="of the GPU in bf16, TFLOP/s")
    parser.add_argument("--rehearse", action="store_true")
    options = parser.parse_args()
    if not options.rehearse and not torch.cuda.is_available():
        parser.error("torch sees no GPU; --rehearse runs every part tiny on the CPU")
    scale = TINY if options.rehearse else FULL
    device = (
        torch.cuda.get_device_name() if scale.device.type == "cuda" else "CPU, a rehearsal: the figures mean nothing"
    )
    result: dict[str, Any] = {"device": device, "torch": torch.__version__}
    print(f"{device}, torch {torch.__version__}")
    for line in lines(scale, options.peak, result):
        print(line, flush=True)
    results.write(options.json, result)


if __name__ == "__main__":
    main()
