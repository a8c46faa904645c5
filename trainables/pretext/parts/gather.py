"""Differentiable gathering of embeddings from all workers."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd import Function


class _Gather(Function):
    """Concatenation of `(B, D)` over workers; backward sums all workers' gradients of the local rows."""

    @staticmethod
    def forward(ctx: Any, local: Tensor) -> Tensor:
        ctx.rows = len(local)
        parts = [torch.empty_like(local) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, local.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].contiguous().clone()
        dist.all_reduce(total)
        first = dist.get_rank() * ctx.rows
        return total[first : first + ctx.rows]


def gather(local: Tensor) -> Tensor:
    """Return all workers' rows in order of rank, `(W B, D)`; in a single process, `local` itself.

    Every worker must have equally many rows, as with a logical batch divisible by the number of workers.
    """
    if not is_distributed():
        return local
    gathered: Tensor = _Gather.apply(local)  # type: ignore[no-untyped-call]
    return gathered


def is_distributed() -> bool:
    """Return True where this process is one of several workers."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def first_row(local: Tensor) -> int:
    """Return the index of this worker's first row among the gathered rows."""
    return dist.get_rank() * len(local) if is_distributed() else 0
