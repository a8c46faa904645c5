"""Prediction: time of `study predict` for 1,000 pictures, against a loop over its network alone.

    python -m benchmarks.prediction [--frames 1000] [--turns 3] [--threads N] [--only NETWORK] [--json FILE]

The loop normalises, segments and takes the largest class of frames that are in memory already; the prediction decodes
PNG files, resamples, measures and writes masks in the pictures' own size. Both use the same batches and N threads of
PyTorch (default: one for each core), and take turns. Prints medians of wall time, and the CPU time of a frame
beside the network.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch

from benchmarks import results
from trainables.data.layouts.manifest import Manifest
from trainables.data.settings import DataSettings
from trainables.networks.deeplabv3 import DeepLabV3
from trainables.networks.network import SegmentationNetwork
from trainables.networks.resnet import ResNet18, ResNet50
from trainables.networks.unet import UNet
from trainables.prediction.ensemble import Ensemble
from trainables.prediction.predict import Predictor
from trainables.prediction.preprocessing import Preprocessing
from trainables.prediction.restoring import largest
from trainables.prediction.results import ResultFolder
from trainables.prediction.sources import find_sources

BATCH = 32
SIZE = 112
SHAPE = (160, 144)
PREPROCESSING = Preprocessing(SIZE, ("grey",), (0.2,), (0.2,), ("background", "lv", "myo", "la"))
NETWORKS: dict[str, Callable[[int, int], SegmentationNetwork]] = {
    "unet": UNet().build,
    "deeplabv3 resnet18": DeepLabV3(backbone=ResNet18()).build,
    "deeplabv3 resnet50": DeepLabV3(backbone=ResNet50()).build,
}


@dataclass(frozen=True)
class Times:
    """Median seconds of the loop and of the prediction, as wall and as CPU time."""

    network: str
    frames: int
    loop: float
    prediction: float
    loop_cpu: float
    prediction_cpu: float


def write_pictures(folder: Path, count: int) -> None:
    """Write noisy grey pictures as PNG files."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    for number in range(count):
        coarse = rng.integers(0, 256, (10, 9), dtype=np.uint8)
        cv2.imwrite(str(folder / f"{number:04}.png"), cv2.resize(coarse, SHAPE[::-1]))


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Return the wall and CPU seconds of a function."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def loop(ensemble: Ensemble, frames: torch.Tensor) -> None:
    """Segment frames `(N, C, S, S)` in batches, and keep the largest classes."""
    for part in frames.split(ensemble.batch):
        largest(ensemble(part).scores).cpu()


def measure(name: str, pictures: Path, count: int, turns: int) -> Times:
    """Alternate between loop and prediction and return medians; the first turn is a warm-up."""
    torch.manual_seed(0)
    network = NETWORKS[name](1, len(PREPROCESSING.classes))
    ensemble = Ensemble([network], PREPROCESSING, device=torch.device("cpu"), precision="float32", batch=BATCH)
    frames = torch.randint(0, 256, (count, 1, SIZE, SIZE), dtype=torch.uint8)
    sources = find_sources([str(pictures)], DataSettings(layout=Manifest()), PREPROCESSING).sources
    times: list[tuple[tuple[float, float], tuple[float, float]]] = []
    for _ in range(turns + 1):
        with tempfile.TemporaryDirectory() as folder:
            predictor = Predictor(ensemble, PREPROCESSING, ResultFolder(Path(folder), "key", b"secret"))
            times.append((timed(partial(loop, ensemble, frames)), timed(partial(predictor.run, sources))))
    rows = [(one[0], two[0], one[1], two[1]) for one, two in times[1:]]
    return Times(name, count, *(statistics.median(column) for column in zip(*rows, strict=True)))


def lines(found: Sequence[Times]) -> str:
    """Return the results as a table."""
    head = f"{'network':20} {'loop':>8} {'predict':>8} {'ratio':>6} {'CPU ratio':>10} {'CPU beside the network':>23}"
    rows = [
        f"{each.network:20} {each.loop:7.2f}s {each.prediction:7.2f}s {each.prediction / each.loop:6.3f} "
        f"{each.prediction_cpu / each.loop_cpu:10.3f} {_beside(each):14.2f} ms/frame"
        for each in found
    ]
    return "\n".join([head, *rows])


def _beside(found: Times) -> float:
    """Return the milliseconds of CPU time that a frame costs beside the network."""
    return 1000 * (found.prediction_cpu - found.loop_cpu) / found.frames


def main() -> None:
    """Measure, and print a table."""
    parser = results.parser(__doc__)
    parser.add_argument("--frames", type=int, default=1000, help="number of pictures")
    parser.add_argument("--turns", type=int, default=3, help="number of repetitions")
    parser.add_argument("--only", choices=sorted(NETWORKS), help="measure one network alone")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="threads of PyTorch")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        pictures = Path(folder) / "pictures"
        write_pictures(pictures, options.frames)
        names = [options.only] if options.only else list(NETWORKS)
        found = [measure(name, pictures, options.frames, options.turns) for name in names]
    print(lines(found))
    results.write(options.json, found)


if __name__ == "__main__":
    main()
