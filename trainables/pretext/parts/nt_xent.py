"""NT-Xent, the contrastive loss of SimCLR, in memory linear in the batch size."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from trainables.pretext.parts.embedding_task import at_least_float32
from trainables.pretext.parts.gather import first_row, gather

BLOCK = 2**24
"""Number of similarities in memory at a time: 64 MiB in float32."""


def nt_xent(one: Tensor, two: Tensor, temperature: float, *, local_only: bool = False) -> tuple[Tensor, Tensor]:
    """Return the normalized temperature-scaled cross-entropy loss (Chen et al. 2020, equation 1).

    Each of the 2 N views is classified as its partner among the other 2 N - 1 views by cosine similarity. With several
    workers N counts all workers' images, and the mean of the workers' losses is the loss of the whole batch.

    Args:
        one: embeddings `(B, D)` of this worker's first views.
        two: embeddings `(B, D)` of its second views.
        temperature: softmax temperature, above 0.
        local_only: True for this worker's views only; False for those of all workers.

    Returns:
        The mean over this worker's 2 B views, in float32 or wider, and the fraction of views whose most similar view is
        their partner.

    Example:
        >>> one = torch.eye(4)
        >>> loss, accuracy = nt_xent(one, one, temperature=0.1)
        >>> float(accuracy)
        1.0
    """
    with torch.autocast(one.device.type, enabled=False):
        one, two = (F.normalize(z, dim=1) for z in at_least_float32(one, two))
        every_one, every_two = (one, two) if local_only else (gather(one), gather(two))
        images = len(every_one)
        own = torch.arange(len(one), device=one.device) + (0 if local_only else first_row(one))
        itself, partner = torch.cat([own, own + images]), torch.cat([own + images, own])
        views, every = torch.cat([one, two]), torch.cat([every_one, every_two])
        loss, accuracy = _Match.apply(views, every, itself, partner, temperature)  # type: ignore[no-untyped-call]
    return loss, accuracy


class _Match(Function):
    """Cross-entropy over blocks of views; backward recomputes similarities instead of storing them."""

    @staticmethod
    def forward(
        ctx: Any, views: Tensor, every: Tensor, itself: Tensor, partner: Tensor, temperature: float
    ) -> tuple[Tensor, Tensor]:
        loss, hits = views.new_zeros(()), views.new_zeros(())
        for block in _blocks(views, every):
            similarity = _similarity(views[block], every, itself[block], temperature)
            loss += F.cross_entropy(similarity, partner[block], reduction="sum")
            hits += (similarity.argmax(1) == partner[block]).sum()
        ctx.save_for_backward(views, every, itself, partner)
        ctx.temperature = temperature
        accuracy = hits / len(views)
        ctx.mark_non_differentiable(accuracy)
        return loss / len(views), accuracy

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        views, every, itself, partner = ctx.saved_tensors
        scale = gradients[0] / (len(views) * ctx.temperature)
        of_views, of_every = torch.empty_like(views), torch.zeros_like(every)
        for block in _blocks(views, every):
            share = _similarity(views[block], every, itself[block], ctx.temperature).softmax(1)
            share[torch.arange(len(share), device=share.device), partner[block]] -= 1
            share.mul_(scale)
            of_views[block] = share @ every
            of_every.addmm_(share.T, views[block])
        return of_views, of_every, None, None, None


def _similarity(views: Tensor, every: Tensor, itself: Tensor, temperature: float) -> Tensor:
    """Return cosine similarities over the temperature `(V, E)`, minus infinity for a view with itself."""
    similarity = views @ every.T
    return similarity.div_(temperature).scatter_(1, itself[:, None], float("-inf"))


def _blocks(views: Tensor, every: Tensor) -> Iterator[slice]:
    rows = max(1, BLOCK // len(every))
    for first in range(0, len(views), rows):
        yield slice(first, first + rows)
