"""What evaluating a copy beside the next epoch saves, against evaluating in between.

    python -m benchmarks.evaluation [--turns 3] [--json FILE]

Finetuning of a small DeepLabV3 with as many images to validate as to train on, the two ways in turns, one thread for
each of training and evaluating. Medians over turns.
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
class Epochs:
    """Seconds of an epoch: trained alone, evaluated in between, and evaluated beside the next."""

    alone: float
    between: float
    beside: float


def epoch(device: torch.device, *, evaluated: bool, overlapped: bool) -> float:
    """Seconds of one of `EPOCHS` epochs."""
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


def measure(device: torch.device, turns: int) -> Epochs:
    """All ways in turns; the first turn warms up."""
    ways = ((False, False), (True, False), (True, True))
    times = [[epoch(device, evaluated=one, overlapped=two) for one, two in ways] for _ in range(turns + 1)]
    return Epochs(*(statistics.median(column) for column in zip(*times[1:], strict=True)))


def line(found: Epochs) -> str:
    """What was measured, in words."""
    ways = f"evaluated in between {found.between:.2f} s, beside the next {found.beside:.2f} s"
    return f"an epoch alone {found.alone:.2f} s, {ways}: {found.between / found.beside:.2f}x as fast"


def main() -> None:
    """Print one line."""
    parser = results.parser(__doc__)
    parser.add_argument("--turns", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = measure(torch.device("cpu"), options.turns)
    print(line(found))
    results.write(options.json, found)


if __name__ == "__main__":
    main()
