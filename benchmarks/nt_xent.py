"""NT-Xent: error, time and memory of ours beside lightly's and MONAI's.

    python -m benchmarks.nt_xent [--batch 1024] [--largest 16384] [--dimensions 128] [--json FILE]

Each program runs in a process of its own, forward and backward, with one thread; memory is what the process grew by at
most. The error is that of the loss in float32 against float64 of the same equation, at three temperatures. `--largest`
is a batch for ours alone. Programs that are not installed are named as absent; benchmarks/requirements.txt has them.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks import results
from benchmarks.peers import alone, installed
from trainables.networks.torchvision_ops import torchvision

TEMPERATURES = (0.5, 0.05, 0.01)
LONG = 10.0
"""Seconds after which nothing is measured again."""

PROGRAMS = {"ours": None, "lightly": "lightly", "monai": "monai"}
Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Measured:
    """Of one program.

    Attributes:
        program: which.
        batch: images; twice as many views.
        seconds: of forward and backward, the best of three; of one where that takes long.
        megabytes: by which the process grew at most.
        errors: of the loss against float64, relative, by temperature; NaN where the loss is not a number.
    """

    program: str
    batch: int
    seconds: float
    megabytes: float
    errors: dict[float, float]


def loss_of(program: str, temperature: float) -> Loss:
    """A program's loss of two views `(B, D)`."""
    if program == "lightly":
        torchvision()  # lightly imports it, and it may need our help
        from lightly.loss import NTXentLoss

        return NTXentLoss(temperature=temperature)
    if program == "monai":
        from monai.losses.contrastive import ContrastiveLoss

        return ContrastiveLoss(temperature=temperature)
    from trainables.pretext.parts.nt_xent import nt_xent

    return lambda one, two: nt_xent(one, two, temperature)[0]


def truth(one: Tensor, two: Tensor, temperature: float) -> float:
    """The equation in float64."""
    views = F.normalize(torch.cat([one, two]).double(), dim=1)
    similarity = (views @ views.T / temperature).fill_diagonal_(float("-inf"))
    return F.cross_entropy(similarity, torch.arange(len(views)).roll(len(one))).item()


def views_of(batch: int, dimensions: int) -> tuple[Tensor, Tensor]:
    """Two views that resemble each other a little more than others, as early in training."""
    torch.manual_seed(0)
    one = torch.randn(batch, dimensions)
    return one, one + 3 * torch.randn(batch, dimensions)


def measure(program: str, batch: int, dimensions: int, compared: bool) -> Measured:
    """In this process, which should be a fresh one."""
    torch.set_num_threads(1)
    errors = {}
    for temperature in TEMPERATURES if compared else ():
        one, two = views_of(256, dimensions)
        expected = truth(one, two, temperature)
        errors[temperature] = abs(loss_of(program, temperature)(one, two).item() - expected) / expected
    one, two = (view.requires_grad_() for view in views_of(batch, dimensions))
    loss = loss_of(program, 0.1)
    before, times = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, []
    for _ in range(3 if compared else 1):
        started = time.perf_counter()
        loss(one, two).backward()
        times.append(time.perf_counter() - started)
        if times[-1] > LONG:
            break
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return Measured(program, batch, min(times), grown, errors)


def main() -> None:
    """Print a line a program."""
    parser = results.parser(__doc__)
    parser.add_argument("--batch", type=int, default=1024)
    parser.add_argument("--largest", type=int, default=16384)
    parser.add_argument("--dimensions", type=int, default=128)
    options = parser.parse_args()
    there = installed(PROGRAMS)
    runs = [(name, options.batch, True) for name in there] + [("ours", options.largest, False)]
    found = [alone(measure, name, batch, options.dimensions, compared) for name, batch, compared in runs]
    ours = found[0]
    print(f"error at temperatures {TEMPERATURES}")
    print(f"{'program':<10} {'batch':>6} {'time':>9} {'of ours':>8} {'memory':>9} {'of ours':>8}  error")
    for each in found:
        same = each.batch == ours.batch
        times = f"{each.seconds:8.2f}s " + (f"{each.seconds / ours.seconds:7.2f}x" if same else " " * 8)
        memory = f"{each.megabytes:7.0f}MB " + (f"{each.megabytes / ours.megabytes:7.2f}x" if same else " " * 8)
        errors = " ".join(f"{error:.1e}" for error in each.errors.values())
        print(f"{each.program:<10} {each.batch:>6} {times} {memory}  {errors}")
    results.write(options.json, found)


if __name__ == "__main__":
    main()
