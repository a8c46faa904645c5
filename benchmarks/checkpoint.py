"""Checkpoint cost: how long saving blocks training, and the time until the file is on disk.

    python -m benchmarks.checkpoint [--turns 3] [--json FILE]

The checkpoint holds DeepLabV3 with ResNet-50, Adam's state and the best epoch's weights, as in training. The figures
are medians over the repetitions.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks import results
from trainables.engine.checkpoint import Checkpoints
from trainables.engine.optim.optimizers import Adam
from trainables.networks.deeplabv3 import DeepLabV3
from trainables.networks.resnet import ResNet50


@dataclass(frozen=True)
class CheckpointCost:
    """File size in MB, seconds for which saving blocks training, and seconds until the file is on disk."""

    megabytes: float
    blocked_seconds: float
    total_seconds: float


def measure(repetitions: int) -> CheckpointCost:
    """Save a checkpoint `repetitions` times to a temporary folder and return the medians."""
    network = DeepLabV3(backbone=ResNet50()).build(1, 4)
    optimizer = Adam().build([{"params": list(network.parameters())}])
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    best = {name: value.clone() for name, value in network.state_dict().items()}
    state = {"task": network.state_dict(), "optimizer": optimizer.state_dict(), "best_state": best}
    times: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        checkpoints = Checkpoints(Path(folder))
        for _ in range(repetitions):
            started = time.perf_counter()
            checkpoints.save(state)
            blocked_seconds = time.perf_counter() - started
            checkpoints.flush()
            times.append((blocked_seconds, time.perf_counter() - started))
        megabytes = (Path(folder) / "checkpoint.pt").stat().st_size / 1e6
    return CheckpointCost(megabytes, *(statistics.median(column) for column in zip(*times, strict=True)))


def main() -> None:
    """Measure, and print one line of results."""
    parser = results.parser(__doc__)
    parser.add_argument("--turns", type=int, default=3, help="number of repetitions")
    options = parser.parse_args()
    found = measure(options.turns)
    text = f"a checkpoint of {found.megabytes:.0f} MB is on disk after {found.total_seconds:.2f} s"
    print(f"{text} and blocks training for {found.blocked_seconds:.2f} s")
    results.write(options.json, found)


if __name__ == "__main__":
    main()
