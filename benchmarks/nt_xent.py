"""NT-Xent loss: error, time and memory, compared with lightly and MONAI.

    python -m benchmarks.nt_xent [--batch 1024] [--largest 16384] [--dimensions 128] [--json FILE]

Each program runs forward and backward in a separate process with one thread; memory is the process's peak growth. The
error is the relative error of the float32 loss against the same equation in float64, at three temperatures.
`--largest` is a batch that only ours runs. Programs that are not installed are listed and skipped;
benchmarks/requirements.txt lists the packages.
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
from benchmarks.peers import installed, run_in_fresh_process
from trainables.networks.torchvision_ops import torchvision

TEMPERATURES = (0.5, 0.05, 0.01)
SLOW_SECONDS = 10.0
"""Seconds above which a measurement is not repeated."""

PROGRAMS = {"ours": None, "lightly": "lightly", "monai": "monai"}
Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class LossCost:
    """Error, time and memory of one program.

    Attributes:
        program: name of the library, or `ours`.
        batch: number of images; half the number of views.
        seconds: time of forward and backward, the best of three runs (of one if it is slow).
        megabytes: peak memory growth of the process, in MB.
        errors: relative error of the loss against float64, by temperature; NaN if the loss is NaN.
    """

    program: str
    batch: int
    seconds: float
    megabytes: float
    errors: dict[float, float]


def load_loss(program: str, temperature: float) -> Loss:
    """Return a program's loss function of two views `(B, D)`."""
    if program == "lightly":
        torchvision()  # lightly imports torchvision, which may lack its compiled operators
        from lightly.loss import NTXentLoss

        return NTXentLoss(temperature=temperature)
    if program == "monai":
        from monai.losses.contrastive import ContrastiveLoss

        return ContrastiveLoss(temperature=temperature)
    from trainables.pretext.parts.nt_xent import nt_xent

    return lambda one, two: nt_xent(one, two, temperature)[0]


def reference_loss(one: Tensor, two: Tensor, temperature: float) -> float:
    """Compute the loss directly from its equation in float64."""
    views = F.normalize(torch.cat([one, two]).double(), dim=1)
    similarity = (views @ views.T / temperature).fill_diagonal_(float("-inf"))
    return F.cross_entropy(similarity, torch.arange(len(views)).roll(len(one))).item()


def random_views(batch: int, dimensions: int) -> tuple[Tensor, Tensor]:
    """Return two weakly correlated random views `(batch, dimensions)`, as early in training."""
    torch.manual_seed(0)
    one = torch.randn(batch, dimensions)
    return one, one + 3 * torch.randn(batch, dimensions)


def measure(program: str, batch: int, dimensions: int, compared: bool) -> LossCost:
    """Measure one program; call it in a fresh process."""
    torch.set_num_threads(1)
    errors = {}
    for temperature in TEMPERATURES if compared else ():
        one, two = random_views(256, dimensions)
        expected = reference_loss(one, two, temperature)
        errors[temperature] = abs(load_loss(program, temperature)(one, two).item() - expected) / expected
    one, two = (view.requires_grad_() for view in random_views(batch, dimensions))
    loss = load_loss(program, 0.1)
    before, times = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, []
    for _ in range(3 if compared else 1):
        started = time.perf_counter()
        loss(one, two).backward()
        times.append(time.perf_counter() - started)
        if times[-1] > SLOW_SECONDS:
            break
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return LossCost(program, batch, min(times), grown, errors)


def main() -> None:
    """Print one line for each program."""
    parser = results.parser(__doc__)
    parser.add_argument("--batch", type=int, default=1024, help="number of images in the batch")
    parser.add_argument("--largest", type=int, default=16384, help="batch that only ours runs")
    parser.add_argument("--dimensions", type=int, default=128, help="size of a projection")
    options = parser.parse_args()
    available = installed(PROGRAMS)
    runs = [(name, options.batch, True) for name in available] + [("ours", options.largest, False)]
    found = [run_in_fresh_process(measure, name, batch, options.dimensions, compared) for name, batch, compared in runs]
    ours = found[0]
    print(f"error at temperatures {TEMPERATURES}")
    print(f"{'program':<10} {'batch':>6} {'time':>9} {'ratio':>8} {'memory':>9} {'ratio':>8}  error")
    for each in found:
        same = each.batch == ours.batch
        times = f"{each.seconds:8.2f}s " + (f"{each.seconds / ours.seconds:7.2f}x" if same else " " * 8)
        memory = f"{each.megabytes:7.0f}MB " + (f"{each.megabytes / ours.megabytes:7.2f}x" if same else " " * 8)
        errors = " ".join(f"{error:.1e}" for error in each.errors.values())
        print(f"{each.program:<10} {each.batch:>6} {times} {memory}  {errors}")
    results.write(options.json, found)


if __name__ == "__main__":
    main()
