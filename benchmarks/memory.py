"""Memory and time of a training step: the batch at once, in parts by cached gradients, and with blocks recomputed.

    python -m benchmarks.memory [--batch 64] [--size 112] [--json FILE]

SimCLR with ResNet-18, forward, backward and optimizer. Each way runs in a process of its own with one thread; memory is
what the process grew by at most during two steps, time that of the second.
"""

from __future__ import annotations

import resource
import time
from dataclasses import dataclass

import numpy as np
import torch

from benchmarks import results
from benchmarks.peers import alone
from trainables.augment.policy import Policy
from trainables.data.sampling.batches import Batches
from trainables.data.store.synthetic_store import synthetic_store
from trainables.engine.optim.optimizers import Adam
from trainables.engine.runtime import LocalRuntime
from trainables.engine.settings import FitSettings
from trainables.engine.trainer import fit
from trainables.networks.resnet import ResNet18
from trainables.pretext.simclr import SimCLR

WAYS: dict[str, tuple[int | None, bool]] = {
    "at once": (None, False),
    "recompute": (None, True),
    "in parts of a quarter": (4, False),
    "in parts of a quarter, recompute": (4, True),
}
"""By name: into how many parts, and whether blocks are recomputed."""


@dataclass(frozen=True)
class Measured:
    """Of one way: megabytes by which the process grew at most, and seconds of a step."""

    way: str
    megabytes: float
    seconds: float


def measure(way: str, batch: int, size: int) -> Measured:
    """In this process, which should be a fresh one."""
    torch.set_num_threads(1)
    parts, recompute = WAYS[way]
    store = synthetic_store(batch, size, 1)
    task = SimCLR().build(ResNet18().build(1), Policy(), store)
    settings = FitSettings(
        2, batch, Adam(), precision="float32", micro_batch=batch // parts if parts else None, recompute=recompute
    )
    times: list[float] = []
    runtime = LocalRuntime(on_report=lambda epoch, metrics: times.append(time.perf_counter()))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    fit(task, Batches(store, np.arange(batch), batch), None, settings, runtime, 0)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return Measured(way, grown, times[1] - times[0])


def main() -> None:
    """Print a line a way."""
    parser = results.parser(__doc__)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--size", type=int, default=112)
    options = parser.parse_args()
    found = [alone(measure, way, options.batch, options.size) for way in WAYS]
    first = found[0]
    print(f"{'way':<34} {'memory':>9} {'share':>6} {'time':>7} {'share':>6}")
    for each in found:
        memory, seconds = each.megabytes / first.megabytes, each.seconds / first.seconds
        print(f"{each.way:<34} {each.megabytes:7.0f}MB {memory:6.2f} {each.seconds:6.1f}s {seconds:6.2f}")
    results.write(options.json, found)


if __name__ == "__main__":
    main()
