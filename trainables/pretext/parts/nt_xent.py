"""The contrastive loss of SimCLR, in memory that grows with the batch and not with its square."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from trainables.pretext.monitoring.embedding import widened
from trainables.pretext.parts.gather import first_row, gather

BLOCK = 2**24
"""Similarities that are held at a time: 64 MiB in float32."""


def nt_xent(one: Tensor, two: Tensor, temperature: float, *, alone: bool = False) -> tuple[Tensor, Tensor]:
    """The normalised temperature-scaled cross-entropy loss (Chen et al. 2020, equation 1).

    Each of the 2 N views has to find its partner among the other 2 N - 1 views, by cosine similarity. In a group of
    workers N counts the images of all, and the mean of the workers' losses is the loss of the whole batch.

    Args:
        one: embeddings `(B, D)` of this worker's first views.
        two: of its second views.
        temperature: above 0.
        alone: look at this worker's views only.

    Returns:
        The mean over this worker's 2 B views, in float32 or wider, and the share whose partner is the most similar.
    """
    with torch.autocast(one.device.type, enabled=False):
        one, two = (F.normalize(z, dim=1) for z in widened(one, two))
        every_one, every_two = (one, two) if alone else (gather(one), gather(two))
        images = len(every_one)
        own = torch.arange(len(one), device=one.device) + (0 if alone else first_row(one))
        itself, partner = torch.cat([own, own + images]), torch.cat([own + images, own])
        views, every = torch.cat([one, two]), torch.cat([every_one, every_two])
        loss, accuracy = _Match.apply(views, every, itself, partner, temperature)  # type: ignore[no-untyped-call]
    return loss, accuracy


class _Match(Function):
    """Cross-entropy of finding each view's partner, a block of views at a time; similarities are computed again for
    the gradient instead of being kept.
    """

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
    """`(V, E)` cosines over the temperature; none of a view with itself."""
    similarity = views @ every.T
    return similarity.div_(temperature).scatter_(1, itself[:, None], float("-inf"))


def _blocks(views: Tensor, every: Tensor) -> Iterator[slice]:
    rows = max(1, BLOCK // len(every))
    for first in range(0, len(views), rows):
        yield slice(first, first + rows)
