"""Training-loop overhead over a bare training step, and the speed-up of a step in bf16.

    python -m benchmarks.step [--seconds 15] [--json FILE]

Times steps of SimCLR and DeepLabV3 at several sizes, alternating between the loop and the bare step on the same
batches, with one CPU thread. The bare step has the same network, set-up, memory format and optimizer, its batches in
memory, and only augments and runs forward, backward and the optimizer; the loop also reads the store, sets learning
rates, clips gradients, sums metrics, checks the loss and records history. The overhead is the median over repetitions
of the ratio of the two, minus one, with the standard error of that median. If the CPU supports bf16 natively, forward
and backward of DeepLabV3 with ResNet-50 are also timed alternately in float32 and bf16.
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

MIN_REPETITIONS = 10
"""Minimum number of repetitions, regardless of the time limit."""


@dataclass(frozen=True)
class Overhead:
    """Milliseconds per step of one case, relative overhead of the loop and its standard error."""

    case: str
    bare: float
    loop: float
    added: float
    error: float


def simclr_tiny(store: FrameStore) -> Task:
    """Build SimCLR with a tiny network."""
    return SimCLR(projection=64).build(TinyResNet().build(1), Policy(), store)


def simclr_resnet18(store: FrameStore) -> Task:
    """Build SimCLR with ResNet-18."""
    return SimCLR().build(ResNet18().build(1), Policy(), store)


def deeplabv3_tiny(store: FrameStore) -> Task:
    """Build DeepLabV3 with a tiny network."""
    network = DeepLabV3(backbone=TinyResNet(), rates=(2, 4, 6), width=32).build(1, len(store.classes))
    return Segmentation(network, DiceCrossEntropy(), Policy(strength=0.0), store)


CASES: dict[str, tuple[Callable[[FrameStore], Task], int, int, int]] = {
    "SimCLR, tiny network, 64 px, batch 64": (simclr_tiny, 64, 64, 8),
    "SimCLR, ResNet-18, 112 px, batch 32": (simclr_resnet18, 32, 112, 3),
    "DeepLabV3, tiny network, 64 px, batch 16": (deeplabv3_tiny, 16, 64, 8),
}
"""Function that builds the task, batch size, side of the images in pixels, and steps per repetition."""


def bare(task: Task, batches: Batches) -> float:
    """Train an epoch by a minimal loop and return the seconds per step."""
    ready = list(batches.epoch(0))
    started = time.perf_counter()
    module = LocalRuntime().wrap(task).train()  # same memory format as in the loop
    optimizer = Adam(lr=1e-3).build([{"params": list(module.parameters())}])
    for batch in ready:
        optimizer.zero_grad(set_to_none=True)
        module(batch)["loss"].backward()
        optimizer.step()
    return (time.perf_counter() - started) / len(ready)


def loop(task: Task, batches: Batches) -> float:
    """Train an epoch by `fit` and return the seconds per step."""
    settings = FitSettings(epochs=1, batch_size=batches.batch_size, optimizer=Adam(lr=1e-3), precision="float32")
    started = time.perf_counter()
    fit(task, batches, None, settings, LocalRuntime(), 0)
    return (time.perf_counter() - started) / len(batches)


def measure(case: str, seconds: float) -> Overhead:
    """Alternate between both loops for at least `seconds` and return the overhead."""
    build, batch, size, steps = CASES[case]
    store = synthetic_store(batch * steps, size, 1)
    batches = Batches(store, np.arange(batch * steps), batch, masks=build is deeplabv3_tiny)
    times: list[tuple[float, float]] = []
    started = time.perf_counter()
    while len(times) <= MIN_REPETITIONS or time.perf_counter() - started < seconds:
        torch.manual_seed(0)
        if len(times) % 2:
            bare_seconds = bare(build(store), batches)
            times.append((bare_seconds, loop(build(store), batches)))
        else:
            loop_seconds = loop(build(store), batches)
            times.append((bare(build(store), batches), loop_seconds))
    both = 1000 * np.array(times[1:])  # drop the warm-up repetition
    ratios = both[:, 1] / both[:, 0]
    error = 1.2533 * ratios.std(ddof=1) / len(ratios) ** 0.5  # standard error of a median of normal ratios
    return Overhead(case, *np.median(both, axis=0).tolist(), float(np.median(ratios)) - 1, float(error))


@dataclass(frozen=True)
class Precisions:
    """Milliseconds per step in float32 and in bf16."""

    float32: float
    bf16: float


def precisions(turns: int = 3) -> Precisions:
    """Return medians over the repetitions, after a warm-up."""
    network = to_device(DeepLabV3(backbone=ResNet50()).build(1, 4), torch.device("cpu")).train()
    images = torch.rand(8, 1, 112, 112)
    times = [[forward_backward(network, images, bf16=bf16) for bf16 in (False, True)] for _ in range(turns + 1)]
    return Precisions(*(1000 * float(np.median(column)) for column in zip(*times[1:], strict=True)))


def forward_backward(network: nn.Module, images: Tensor, *, bf16: bool) -> float:
    """Return the seconds of one forward and backward pass."""
    started = time.perf_counter()
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        loss = network(images).float().square().mean()
    loss.backward()
    return time.perf_counter() - started


def main() -> None:
    """Print one line for each case."""
    parser = results.parser(__doc__)
    parser.add_argument("--seconds", type=float, default=15.0, help="minimum seconds of measurement for each case")
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = [measure(case, options.seconds) for case in CASES]
    print(f"{'case':<42} {'bare step':>12} {'loop':>12} {'added by the loop':>18} {'error':>7}")
    for each in found:
        print(f"{each.case:<42} {each.bare:9.1f} ms {each.loop:9.1f} ms {each.added:18.1%} {each.error:7.1%}")
    by_precision = precisions() if cpu_has_bf16() else None
    if by_precision is None:
        print("this CPU does not support bf16 natively: skipping the bf16 measurement")
    else:
        text = f"a step in float32 {by_precision.float32:.0f} ms, in bf16 {by_precision.bf16:.0f} ms"
        print(
            f"DeepLabV3, ResNet-50, 112 px, batch 8: {text}: {by_precision.float32 / by_precision.bf16:.2f}x speed-up"
        )
    precision = {} if by_precision is None else {"precision": by_precision}
    results.write(options.json, {"overhead": found, **precision})


if __name__ == "__main__":
    main()
