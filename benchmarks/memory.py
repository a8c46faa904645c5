"""Memory and time of a training step with gradient caching and activation recomputation.

    python -m benchmarks.memory [--batch 64] [--size 112] [--json FILE]

SimCLR with ResNet-18, forward, backward and optimizer. Each setting runs in a separate process with one thread; memory
is the process's peak growth during two steps, and time is that of the second step.
"""

from __future__ import annotations

import resource
import time
from dataclasses import dataclass

import numpy as np
import torch

from benchmarks import results
from benchmarks.peers import run_in_fresh_process
from trainables.augment.policy import Policy
from trainables.data.sampling.batches import Batches
from trainables.data.store.synthetic_store import synthetic_store
from trainables.engine.optim.optimizers import Adam
from trainables.engine.runtime import LocalRuntime
from trainables.engine.settings import FitSettings
from trainables.engine.trainer import fit
from trainables.networks.resnet import ResNet18
from trainables.pretext.simclr import SimCLR

SETTINGS: dict[str, tuple[int | None, bool]] = {
    "single batch": (None, False),
    "recompute": (None, True),
    "4 micro-batches": (4, False),
    "4 micro-batches, recompute": (4, True),
}
"""Number of micro-batches (None: a single batch) and activation recomputation, by setting."""


@dataclass(frozen=True)
class StepCost:
    """Peak memory growth in MB and seconds per step of one setting."""

    setting: str
    megabytes: float
    seconds: float


def measure(setting: str, batch: int, size: int) -> StepCost:
    """Measure one setting; call it in a fresh process."""
    torch.set_num_threads(1)
    parts, recompute = SETTINGS[setting]
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
    return StepCost(setting, grown, times[1] - times[0])


def main() -> None:
    """Print one line for each setting."""
    parser = results.parser(__doc__)
    parser.add_argument("--batch", type=int, default=64, help="number of images in the batch")
    parser.add_argument("--size", type=int, default=112, help="side of the images, in pixels")
    options = parser.parse_args()
    found = [run_in_fresh_process(measure, setting, options.batch, options.size) for setting in SETTINGS]
    first = found[0]
    print(f"{'setting':<34} {'memory':>9} {'ratio':>6} {'time':>7} {'ratio':>6}")
    for each in found:
        memory, seconds = each.megabytes / first.megabytes, each.seconds / first.seconds
        print(f"{each.setting:<34} {each.megabytes:7.0f}MB {memory:6.2f} {each.seconds:6.1f}s {seconds:6.2f}")
    results.write(options.json, found)


if __name__ == "__main__":
    main()
