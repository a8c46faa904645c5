"""A logical batch in the memory of a smaller one.

Where the loss is a mean over images, the batch is taken in parts and their gradients are added. Where it compares
images with each other, the features of all parts are computed first, without a graph; heads and loss then see the whole
batch and give the gradient with respect to the features; and each part is encoded again, with the same augmentation and
the same dropout, to pass on its share of that gradient (Gao et al. 2021, "Scaling deep contrastive learning batch size
under memory limited setup", section 3.2). The price is a second forward pass of the backbone, about a third more time.

Both give the whole batch's gradient to rounding, with one limit: batch norm inside what is taken in parts (the
backbone, or the whole network where gradients are added) normalises by a part's statistics. For the whole batch's, each
such layer would have to wait for the layer before it on all parts. Instance norm and no norm have no such limit, nor
have the batch norms in the heads of a loss that compares. Dropout draws other numbers than for the whole batch.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Protocol

import torch
from torch import Tensor, nn

from trainables.data.sampling.batches import Batch
from trainables.networks.running_statistics import freeze_bn_stats, update_bn_once

Backward = Callable[[Tensor], None]
"""Back-propagates a loss, scaled as the precision asks for."""

Autocast = Callable[[], contextlib.AbstractContextManager[object]]
"""Gives the context of a forward pass, which says its precision."""

RandomState = tuple[Tensor, Tensor | None]
"""Of the CPU and the device."""


class MeanLossTask(Protocol):
    """A task with a loss that is a mean over images."""

    def modules(self) -> Iterator[nn.Module]:
        """Its networks and their parts."""
        ...

    def training_step(self, batch: Batch) -> dict[str, Tensor]:
        """The losses of a part of the batch."""
        ...


class GradCacheTask(Protocol):
    """A task with a loss that sees an image only through its features, so that gradients may be cached there."""

    def modules(self) -> Iterator[nn.Module]:
        """Its networks and their parts."""
        ...

    def views(self, batch: Batch) -> Tensor:
        """What goes into the network of a part of the batch, `(V, B, C, H, W)`."""
        ...

    def encode(self, views: Tensor) -> Tensor:
        """Features `(V, B, D)` of each view."""
        ...

    def fixed(self, views: Tensor) -> Tensor:
        """What else the loss needs and no gradient flows into, `(W, B, E)`; W is 0 where it needs nothing."""
        ...

    def judge(self, features: Tensor, fixed: Tensor, rows: Tensor) -> dict[str, Tensor]:
        """The losses of the whole batch; heads that are trained here see it whole."""
        ...


def split(batch: Batch, size: int | None) -> list[Batch]:
    """A worker's share of a logical batch in parts as equal as can be, each with its own place in the randomness.

    A part has at most `size` images; or one more where a single image would be left over, on which batch norm cannot be
    trained. None leaves the share whole.
    """
    count = len(batch.rows)
    if size is None or count <= size:
        return [batch]
    number = max(1, min(-(-count // size), count // 2))
    limits = [count * part // number for part in range(number + 1)]
    return [_part(batch, first, end) for first, end in itertools.pairwise(limits)]


def split_all(batches: Iterable[Batch], size: int | None) -> Iterator[Batch]:
    """The parts of all batches."""
    for batch in batches:
        yield from split(batch, size)


def _part(batch: Batch, first: int, end: int) -> Batch:
    masks = batch.masks[first:end] if batch.masks is not None else None
    draw = batch.draw.part(first, end - first)
    return replace(batch, images=batch.images[first:end], masks=masks, rows=batch.rows[first:end], draw=draw)


def accumulate_gradients(
    task: MeanLossTask, parts: Sequence[Batch], backward: Backward, autocast: Autocast
) -> dict[str, Tensor]:
    """Add the gradients of a loss that is a mean over images; gives the whole batch's losses."""
    total = sum(len(part.rows) for part in parts)
    sums: dict[str, Tensor] = {}
    with update_bn_once(task.modules(), len(parts)):
        for part in parts:
            share = len(part.rows) / total
            with autocast():
                losses = task.training_step(part)
            backward(losses["loss"] * share)
            for name, value in losses.items():
                sums[name] = sums.get(name, torch.zeros_like(value.detach())) + share * value.detach()
    return sums


def grad_cache(
    task: GradCacheTask, parts: Sequence[Batch], backward: Backward, autocast: Autocast
) -> dict[str, Tensor]:
    """Add the gradients of a loss that compares images, in the memory of one part; gives the whole batch's losses."""
    with torch.no_grad(), update_bn_once(task.modules(), len(parts)):
        features, fixed, states = encoded(task, parts, autocast)
    features.requires_grad_()
    with autocast():
        losses = task.judge(features, fixed, torch.cat([part.rows for part in parts]))
    backward(losses["loss"])
    assert features.grad is not None
    shares = features.grad.split([len(part.rows) for part in parts], 1)
    with freeze_bn_stats(task.modules()):
        for part, share, state in zip(parts, shares, states, strict=True):
            with _as_then(state, part.device), autocast():
                again = task.encode(task.views(part))
            again.backward(share)
    return {name: value.detach() for name, value in losses.items()}


def encoded(
    task: GradCacheTask, parts: Sequence[Batch], autocast: Autocast = contextlib.nullcontext
) -> tuple[Tensor, Tensor, list[RandomState]]:
    """Features and fixed values of all parts, and the state of the random numbers before each part was encoded."""
    states, features, fixed = [], [], []
    for part in parts:
        states.append(_random_state(part.device))
        with autocast():
            views = task.views(part)
            features.append(task.encode(views))
            fixed.append(task.fixed(views))
    return torch.cat(features, 1), torch.cat(fixed, 1), states


def _random_state(device: torch.device) -> RandomState:
    return torch.get_rng_state(), torch.cuda.get_rng_state(device) if device.type == "cuda" else None


@contextlib.contextmanager
def _as_then(state: RandomState, device: torch.device) -> Iterator[None]:
    """While entered, random numbers (dropout) are those that followed `state`."""
    now = _random_state(device)
    try:
        _restore(state, device)
        yield
    finally:
        _restore(now, device)


def _restore(state: RandomState, device: torch.device) -> None:
    torch.set_rng_state(state[0])
    if state[1] is not None:
        torch.cuda.set_rng_state(state[1], device)
