"""Batch normalization synchronized between two workers: on CPUs, and with the kernels that torch has for GPUs.

Plain formulas stand in for the kernels, so that two processes without GPUs compare them with torch's own module.
"""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from gloo import join, leave
from torch import Tensor, nn
from torch.nn.modules._functions import SyncBatchNorm as TorchFunction
from torch.utils._python_dispatch import TorchDispatchMode

from trainables.networks import batchnorm
from trainables.networks.batchnorm import synchronise

IMAGES = torch.randn(7, 3, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
SHARES = ((0, 4), (4, 7))
WAITING = ("nonzero", "_local_scalar_dense", "index.Tensor")
"""Operations whose results the CPU would wait for, on a GPU."""


def _of_channels(values: Tensor, like: Tensor) -> Tensor:
    return values.view(1, -1, *[1] * (like.dim() - 2))


def _axes(x: Tensor) -> list[int]:
    return [axis for axis in range(x.dim()) if axis != 1]


def batch_norm_stats(x: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    variance, mean = torch.var_mean(x, _axes(x), correction=0)
    return mean, (variance + eps).rsqrt()


def batch_norm_gather_stats_with_counts(
    x: Tensor, means: Tensor, scales: Tensor, mean: Tensor, var: Tensor, momentum: float, eps: float, counts: Tensor
) -> tuple[Tensor, Tensor]:
    weights = (counts / counts.sum()).unsqueeze(1)
    center = (weights * means).sum(0)
    variance = (weights * (scales**-2 - eps + (means - center) ** 2)).sum(0)
    mean.lerp_(center, momentum)
    var.lerp_(variance * counts.sum() / (counts.sum() - 1), momentum)
    return center, (variance + eps).rsqrt()


def batch_norm_elemt(x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, scale: Tensor, eps: float) -> Tensor:
    factor, shift = scale * weight, bias - mean * scale * weight
    return x * _of_channels(factor, x) + _of_channels(shift, x)


def batch_norm_backward_reduce(
    gradient: Tensor, x: Tensor, mean: Tensor, scale: Tensor, *_: Any
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    total = gradient.sum(_axes(x))
    product = (gradient * (x - _of_channels(mean, x))).sum(_axes(x))
    return total, product, product * scale, total


def batch_norm_backward_elemt(
    gradient: Tensor, x: Tensor, mean: Tensor, scale: Tensor, weight: Tensor, total: Tensor, product: Tensor, count: Any
) -> Tensor:
    centred = (x - _of_channels(mean, x)) * _of_channels(scale**2 * product / count.sum(), x)
    return (gradient - _of_channels(total / count.sum(), x) - centred) * _of_channels(scale * weight, x)


KERNELS = (
    batch_norm_stats,
    batch_norm_gather_stats_with_counts,
    batch_norm_elemt,
    batch_norm_backward_reduce,
    batch_norm_backward_elemt,
)


class Torchs(nn.BatchNorm2d):
    """Torch's synchronized batch norm without its check for a GPU."""

    def forward(self, x: Tensor) -> Tensor:
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        out: Tensor = TorchFunction.apply(
            x, self.weight, self.bias, self.running_mean, self.running_var, self.eps, self.momentum, dist.group.WORLD, 2
        )
        return out


class Waits(TorchDispatchMode):
    """Counter of the operations that the CPU would wait for."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += any(name in str(func) for name in WAITING)
        return func(*args, **(kwargs or {}))


def norm(kind: type[nn.BatchNorm2d] = nn.BatchNorm2d) -> nn.Module:
    made = kind(3).double()
    with torch.no_grad():
        made.weight.copy_(torch.tensor([0.5, 1.0, 2.0]))
        made.bias.copy_(torch.tensor([0.1, 0.0, -1.0]))
    return nn.Sequential(made)


def run(module: nn.Module, images: Tensor) -> dict[str, Tensor]:
    """Return the output, the gradients of a sum of powers, and the buffers after two passes."""
    module(images)
    x = images.clone().requires_grad_()
    out = module(x)
    (out**3).sum().backward()
    gradients = {f"gradient {name}": p.grad for name, p in module.named_parameters() if p.grad is not None}
    assert x.grad is not None
    return {"out": out.detach(), "gradient x": x.grad, **gradients, **dict(module.named_buffers())}


def worker(rank: int, folder: str) -> None:
    join(rank, folder)
    first, end = SHARES[rank]
    found = {"cpu": run(synchronise(norm()), IMAGES[first:end])}
    for kernel in KERNELS:
        setattr(torch, kernel.__name__, kernel)
    batchnorm.uses_fused_kernels = lambda x: True
    for name, module in (("torch", norm(Torchs)), ("fused", synchronise(norm()))):
        with Waits() as waits:
            found[name] = run(module, IMAGES[first:end])
        found[name]["waits"] = torch.tensor(waits.count)
    torch.save(found, f"{folder}/{rank}.pt")
    leave()


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, dict[str, Tensor]]]:
    """Results of the two workers, by kind of normalization."""
    folder: Path = tmp_path_factory.mktemp("norms")
    mp.spawn(worker, (str(folder),), nprocs=2)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in (0, 1)]


@pytest.mark.parametrize("kind", ["cpu", "torch", "fused"])
def test_two_workers_normalize_as_one_with_all_samples(found, kind):
    whole = run(norm(), IMAGES)
    for name, expected in whole.items():
        parts = [each[kind][name] for each in found]
        if name in ("out", "gradient x"):
            torch.testing.assert_close(torch.cat(parts), expected)
        elif name.startswith("gradient"):
            torch.testing.assert_close(sum(parts), expected)
        else:
            assert torch.equal(*parts)
            torch.testing.assert_close(parts[0], expected)


def test_the_fused_form_is_torchs_and_does_not_wait(found):
    for each in found:
        assert each["torch"].pop("waits") == 6  # three masks in each of two forward passes
        assert each["fused"].pop("waits") == 0
        assert each["fused"].keys() == each["torch"].keys()
        for name, values in each["torch"].items():
            torch.testing.assert_close(each["fused"][name], values, rtol=1e-12, atol=1e-12)
