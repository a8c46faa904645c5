"""A logical batch in the memory of a smaller one.

Where the loss is a mean over images, the batch may be taken in parts and the gradients added. Where it compares images
with each other, its gradient with respect to the embeddings is computed first, from embeddings without a graph; then
each part is embedded again and gets its share of that gradient (Gao et al. 2021, Scaling deep contrastive learning
batch size under memory limited setup). Both give the whole batch's gradient to rounding, with two limits. Batch norm
sees a part at a time, so its statistics are those of the part; instance norm and no norm have no such limit. And noise
drawn pixel by pixel is another than for the whole batch, though the same in both passes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn

from trainables.augment.draw import Draw
from trainables.data.batches import Batch

Backward = Callable[[Tensor], None]
"""Back-propagates a loss, scaled as the precision asks for."""


def divided(batch: Batch, size: int) -> list[Batch]:
    """A worker's part of a logical batch in parts of at most `size` images, each with its own place in the batch's
    randomness.
    """
    parts = []
    for first in range(0, len(batch.rows), size):
        rows = batch.rows[first : first + size]
        draw = batch.draw
        part = Draw(draw.seed, draw.total, draw.first + first, len(rows), draw.device)
        masks = batch.masks[first : first + size] if batch.masks is not None else None
        parts.append(replace(batch, images=batch.images[first : first + size], masks=masks, rows=rows, draw=part))
    return parts


def accumulated(
    parts: list[Batch], step: Callable[[Batch], dict[str, Tensor]], backward: Backward
) -> dict[str, Tensor]:
    """Add the gradients of a loss that is a mean over images; gives the whole batch's losses."""
    total = sum(len(part.rows) for part in parts)
    sums: dict[str, Tensor] = {}
    for part in parts:
        share = len(part.rows) / total
        losses = step(part)
        backward(losses["loss"] * share)
        for name, value in losses.items():
            sums[name] = sums.get(name, torch.zeros_like(value.detach())) + share * value.detach()
    return sums


def cached(
    network: nn.Module,
    parts: list[Batch],
    embed: Callable[[Batch], Tensor],
    compare: Callable[[Tensor, Tensor, Tensor], dict[str, Tensor]],
    backward: Backward,
) -> dict[str, Tensor]:
    """Add the gradients of a loss of all embeddings, in the memory of one part.

    Args:
        network: that embeds, in training mode.
        parts: of the batch.
        embed: gives both views' embeddings `(2 b, D)` of a part, the first view's first.
        compare: the losses of all first views' embeddings, all second views' and their rows.
        backward: of the loss.
    """
    states, views = [], []
    with torch.no_grad(), _statistics_kept(network):
        for part in parts:
            states.append(_random_state(part.device))
            views.append(embed(part).chunk(2))
    one, two = (torch.cat([view[side] for view in views]).detach().requires_grad_() for side in (0, 1))
    losses = compare(one, two, torch.cat([part.rows for part in parts]))
    backward(losses["loss"])
    assert one.grad is not None
    assert two.grad is not None
    first = 0
    for part, state in zip(parts, states, strict=True):
        end = first + len(part.rows)
        gradient = torch.cat([one.grad[first:end], two.grad[first:end]])
        with _as_then(state, part.device):
            again = embed(part)
        again.backward(gradient.to(again.dtype))
        first = end
    return {name: value.detach() for name, value in losses.items()}


@contextlib.contextmanager
def _statistics_kept(network: nn.Module) -> Iterator[None]:
    """While entered, batch norms do not move their running statistics: the second pass does."""
    norms = [module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    before = [norm.momentum for norm in norms]
    try:
        for norm in norms:
            norm.momentum = 0.0
        yield
    finally:
        for norm, momentum in zip(norms, before, strict=True):
            norm.momentum = momentum


def _random_state(device: torch.device) -> tuple[Tensor, Tensor | None]:
    return torch.get_rng_state(), torch.cuda.get_rng_state(device) if device.type == "cuda" else None


@contextlib.contextmanager
def _as_then(state: tuple[Tensor, Tensor | None], device: torch.device) -> Iterator[None]:
    """While entered, random numbers (dropout) are those that followed `state`."""
    now = _random_state(device)
    try:
        _restore(state, device)
        yield
    finally:
        _restore(now, device)


def _restore(state: tuple[Tensor, Tensor | None], device: torch.device) -> None:
    torch.set_rng_state(state[0])
    if state[1] is not None:
        torch.cuda.set_rng_state(state[1], device)
