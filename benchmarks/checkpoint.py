"""How long a checkpoint holds training up, beside how long it takes to be on disk.

    python -m benchmarks.checkpoint [--turns 3] [--json FILE]

Of DeepLabV3 with ResNet-50, Adam's state and the best epoch's weights: what the loop keeps. Medians over turns.
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
class Measured:
    """Megabytes, seconds for which training waits, and seconds until the file is whole."""

    megabytes: float
    held_up: float
    written: float


def measure(turns: int) -> Measured:
    """In a folder of the machine's own for temporary files."""
    network = DeepLabV3(backbone=ResNet50()).build(1, 4)
    optimizer = Adam().build([{"params": list(network.parameters())}])
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    best = {name: value.clone() for name, value in network.state_dict().items()}
    state = {"task": network.state_dict(), "optimizer": optimizer.state_dict(), "best_state": best}
    times: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory() as made:
        checkpoints = Checkpoints(Path(made))
        for _ in range(turns):
            started = time.perf_counter()
            checkpoints.save(state)
            held_up = time.perf_counter() - started
            checkpoints.flush()
            times.append((held_up, time.perf_counter() - started))
        megabytes = (Path(made) / "checkpoint.pt").stat().st_size / 1e6
    return Measured(megabytes, *(statistics.median(column) for column in zip(*times, strict=True)))


def main() -> None:
    """Print one line."""
    parser = results.parser(__doc__)
    parser.add_argument("--turns", type=int, default=3)
    options = parser.parse_args()
    found = measure(options.turns)
    text = f"a checkpoint of {found.megabytes:.0f} MB is written in {found.written:.2f} s"
    print(f"{text} and holds training up for {found.held_up:.2f} s of them")
    results.write(options.json, found)


if __name__ == "__main__":
    main()
