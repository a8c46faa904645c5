"""What the training loop adds to the bare step: forward, backward, optimizer; and what bf16 saves of one.

    python -m benchmarks.step [--seconds 15] [--json FILE]

SimCLR's and DeepLabV3's step at a few sizes, the loop and the bare step in turns on the same batches, one thread on a
CPU. The bare step has the same network, set-up, memory format and optimizer, its batches in memory, and does nothing
but augment, forward, backward and the optimizer's step; the loop reads them from the store, sets rates, clips, sums its
metrics, checks the loss and keeps its history. What is added is the median over turns of the ratio of the two, each
half an epoch apart, with the standard error of that median. Where the processor multiplies bf16 natively, steps of
DeepLabV3 with ResNet-50 in float32 and bf16 take turns, forward and backward.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks import results
from trainables.augment.policy import Policy
from trainables.data.sampling.batches import Batches
from trainables.data.store.frames import FrameStore
from trainables.data.store.synthetic_store import synthetic_store
from trainables.downstream.losses import DiceCrossEntropy
from trainables.downstream.segmentation import Segmentation
from trainables.engine.optim.optimizers import Adam
from trainables.engine.precision import cpu_has_bf16
from trainables.engine.runtime import LocalRuntime, to_device
from trainables.engine.settings import FitSettings
from trainables.engine.task import Task
from trainables.engine.trainer import fit
from trainables.networks.deeplabv3 import DeepLabV3
from trainables.networks.resnet import ResNet18, ResNet50, TinyResNet
from trainables.pretext.simclr import SimCLR

FEWEST = 10
"""Turns, however long they take."""


@dataclass(frozen=True)
class Overhead:
    """Of one case: milliseconds of a step, by what share the loop's is longer, and the error of that."""

    case: str
    bare: float
    loop: float
    added: float
    error: float


def simclr_tiny(store: FrameStore) -> Task:
    return SimCLR(projection=64).build(TinyResNet().build(1), Policy(), store)


def simclr_resnet18(store: FrameStore) -> Task:
    return SimCLR().build(ResNet18().build(1), Policy(), store)


def deeplabv3_tiny(store: FrameStore) -> Task:
    network = DeepLabV3(backbone=TinyResNet(), rates=(2, 4, 6), width=32).build(1, len(store.classes))
    return Segmentation(network, DiceCrossEntropy(), Policy(strength=0.0), store)


CASES: dict[str, tuple[Callable[[FrameStore], Task], int, int, int]] = {
    "SimCLR, tiny network, 64 px, batch 64": (simclr_tiny, 64, 64, 8),
    "SimCLR, ResNet-18, 112 px, batch 32": (simclr_resnet18, 32, 112, 3),
    "DeepLabV3, tiny network, 64 px, batch 16": (deeplabv3_tiny, 16, 64, 8),
}
"""How to build the task, images in a batch, pixels a side, and steps in a turn."""


def bare(task: Task, batches: Batches) -> float:
    """Seconds of a step."""
    ready = list(batches.epoch(0))
    started = time.perf_counter()
    module = LocalRuntime().wrap(task).train()  # the memory format that the loop gives it
    optimizer = Adam(lr=1e-3).build([{"params": list(module.parameters())}])
    for batch in ready:
        optimizer.zero_grad(set_to_none=True)
        module(batch)["loss"].backward()
        optimizer.step()
    return (time.perf_counter() - started) / len(ready)


def loop(task: Task, batches: Batches) -> float:
    """Seconds of a step."""
    settings = FitSettings(epochs=1, batch_size=batches.batch_size, optimizer=Adam(lr=1e-3), precision="float32")
    started = time.perf_counter()
    fit(task, batches, None, settings, LocalRuntime(), 0)
    return (time.perf_counter() - started) / len(batches)


def measure(case: str, seconds: float) -> Overhead:
    """Both in turns, for so long at least."""
    build, batch, size, steps = CASES[case]
    store = synthetic_store(batch * steps, size, 1)
    batches = Batches(store, np.arange(batch * steps), batch, masks=build is deeplabv3_tiny)
    times: list[tuple[float, float]] = []
    started = time.perf_counter()
    while len(times) <= FEWEST or time.perf_counter() - started < seconds:
        torch.manual_seed(0)
        if len(times) % 2:
            alone = bare(build(store), batches)
            times.append((alone, loop(build(store), batches)))
        else:
            looped = loop(build(store), batches)
            times.append((bare(build(store), batches), looped))
    both = 1000 * np.array(times[1:])  # the first warms up
    ratios = both[:, 1] / both[:, 0]
    error = 1.2533 * ratios.std(ddof=1) / len(ratios) ** 0.5  # of a median, were the ratios normal
    return Overhead(case, *np.median(both, axis=0).tolist(), float(np.median(ratios)) - 1, float(error))


@dataclass(frozen=True)
class Precisions:
    """Milliseconds of a step in each."""

    float32: float
    bf16: float


def precisions(turns: int = 3) -> Precisions:
    """Medians over turns; the first warms up."""
    network = to_device(DeepLabV3(backbone=ResNet50()).build(1, 4), torch.device("cpu")).train()
    images = torch.rand(8, 1, 112, 112)
    times = [[forward_backward(network, images, bf16=bf16) for bf16 in (False, True)] for _ in range(turns + 1)]
    return Precisions(*(1000 * float(np.median(column)) for column in zip(*times[1:], strict=True)))


def forward_backward(network: nn.Module, images: Tensor, *, bf16: bool) -> float:
    """Seconds."""
    started = time.perf_counter()
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        loss = network(images).float().square().mean()
    loss.backward()
    return time.perf_counter() - started


def main() -> None:
    """Print a line a case."""
    parser = results.parser(__doc__)
    parser.add_argument("--seconds", type=float, default=15.0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = [measure(case, options.seconds) for case in CASES]
    print(f"{'case':<42} {'bare step':>12} {'loop':>12} {'added':>8} {'error':>7}")
    for each in found:
        print(f"{each.case:<42} {each.bare:9.1f} ms {each.loop:9.1f} ms {each.added:8.1%} {each.error:7.1%}")
    by_precision = precisions() if cpu_has_bf16() else None
    if by_precision is None:
        print("this processor does not multiply bf16 natively")
    else:
        text = f"a step in float32 {by_precision.float32:.0f} ms, in bf16 {by_precision.bf16:.0f} ms"
        print(f"DeepLabV3, ResNet-50, 112 px, batch 8: {text}: {by_precision.float32 / by_precision.bf16:.2f}x as fast")
    precision = {} if by_precision is None else {"precision": by_precision}
    results.write(options.json, {"overhead": found, **precision})


if __name__ == "__main__":
    main()
