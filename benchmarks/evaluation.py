"""Overlapped evaluation: time saved by evaluating a copy of the network during the next epoch.

    python -m benchmarks.evaluation [--turns 3] [--json FILE]

Fine-tunes a small DeepLabV3 with equally many training and validation images, alternating between no, sequential and
overlapped evaluation, with one thread each for training and evaluation. Prints medians over the repetitions.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass

import numpy as np
import torch

from benchmarks import results
from trainables.augment.policy import Policy
from trainables.data.sampling.batches import Batches
from trainables.data.store.synthetic_store import synthetic_store
from trainables.downstream.losses import DiceCrossEntropy
from trainables.downstream.segmentation import Segmentation
from trainables.engine.optim.optimizers import Adam
from trainables.engine.runtime import LocalRuntime
from trainables.engine.settings import FitSettings
from trainables.engine.trainer import fit
from trainables.networks.deeplabv3 import DeepLabV3
from trainables.networks.resnet import TinyResNet

IMAGES = 128
EPOCHS = 5


@dataclass(frozen=True)
class EpochTimes:
    """Seconds per epoch without evaluation, with sequential evaluation and with overlapped evaluation."""

    training_only: float
    sequential: float
    overlapped: float


def epoch(device: torch.device, *, evaluated: bool, overlapped: bool) -> float:
    """Train `EPOCHS` epochs and return the mean seconds per epoch."""
    torch.manual_seed(0)
    store = synthetic_store(2 * IMAGES, 64, 1)
    network = DeepLabV3(backbone=TinyResNet(), rates=(2, 4, 6), width=32).build(1, len(store.classes))
    task = Segmentation(network, DiceCrossEntropy(), Policy.mild(), store)
    train = Batches(store, np.arange(IMAGES), 16, masks=True)
    val = Batches(store, np.arange(IMAGES, 2 * IMAGES), 16, masks=True, shuffle=False) if evaluated else None
    settings = FitSettings(EPOCHS, 16, Adam(), precision="float32", overlap_evaluation=overlapped)
    started = time.perf_counter()
    fit(task, train, val, settings, LocalRuntime(device=device), 0)
    return (time.perf_counter() - started) / EPOCHS


def measure(device: torch.device, turns: int) -> EpochTimes:
    """Alternate between the three settings and return medians; the first repetition is a warm-up."""
    ways = ((False, False), (True, False), (True, True))
    times = [[epoch(device, evaluated=one, overlapped=two) for one, two in ways] for _ in range(turns + 1)]
    return EpochTimes(*(statistics.median(column) for column in zip(*times[1:], strict=True)))


def summary(found: EpochTimes) -> str:
    """Return the result as one line of text."""
    ways = f"sequential evaluation {found.sequential:.2f} s, overlapped {found.overlapped:.2f} s"
    ratio = found.sequential / found.overlapped
    return f"an epoch without evaluation {found.training_only:.2f} s, {ways}: speed-up {ratio:.2f}x"


def main() -> None:
    """Measure, and print one line of results."""
    parser = results.parser(__doc__)
    parser.add_argument("--turns", type=int, default=3, help="number of repetitions")
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = measure(torch.device("cpu"), options.turns)
    print(summary(found))
    results.write(options.json, found)


if __name__ == "__main__":
    main()
