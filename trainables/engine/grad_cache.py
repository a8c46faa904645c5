"""Gradient caching: a logical batch in the memory of a micro-batch, for losses that compare images with each other.

Gao et al. 2021, "Scaling deep contrastive learning batch size under memory limited setup", section 3.2: features of all
micro-batches are computed without a graph; heads and loss process the features of the logical batch and return the
gradient with respect to them; each micro-batch is then encoded again, with identical augmentation and dropout, and
back-propagates its rows of that gradient. The second forward pass of the backbone takes about a third more time.

The gradients equal those of the logical batch to rounding, with one exception: batch norm inside the backbone
normalizes by the statistics of a micro-batch. Instance norm, no norm and batch norm in the heads are exact. Dropout
draws other numbers than for the logical batch.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from trainables.data.sampling.batches import Batch
from trainables.engine.grad_accumulation import Autocast, Backward
from trainables.networks.running_statistics import freeze_bn_stats, update_bn_once

RandomState = tuple[Tensor, Tensor | None]
"""States of the CPU's random generator and of the GPU's, which is None on a CPU."""


class GradCacheTask(Protocol):
    """A task whose loss depends on an image only through its features, where gradients can be cached."""

    def modules(self) -> Iterator[nn.Module]:
        """Return the task's networks and their submodules."""
        ...

    def views(self, batch: Batch) -> Tensor:
        """Return the network's inputs `(V, B, C, H, W)` for a micro-batch: V augmented views of B images."""
        ...

    def encode(self, views: Tensor) -> Tensor:
        """Return the features `(V, B, D)` of each view."""
        ...

    def targets(self, views: Tensor) -> Tensor:
        """Return the loss's other inputs `(W, B, E)`, which get no gradient; W is 0 if it needs none."""
        ...

    def loss(self, features: Tensor, targets: Tensor, rows: Tensor) -> dict[str, Tensor]:
        """Return the scalar losses of the logical batch from its features, targets and rows."""
        ...


def grad_cache(
    task: GradCacheTask, parts: Sequence[Batch], backward: Backward, autocast: Autocast
) -> dict[str, Tensor]:
    """Add the gradients of a logical batch to the parameters, in the memory of one micro-batch.

    Args:
        task: networks and a loss that compares images by their features.
        parts: micro-batches of one logical batch.
        backward: function that back-propagates a loss.
        autocast: function that returns the context manager of a forward pass.

    Returns:
        Detached scalar losses of the logical batch by name.
    """
    with torch.no_grad(), update_bn_once(task.modules(), len(parts)):
        features, targets, states = encode_parts(task, parts, autocast)
    features.requires_grad_()
    with autocast():
        losses = task.loss(features, targets, torch.cat([part.rows for part in parts]))
    backward(losses["loss"])
    assert features.grad is not None
    gradients = features.grad.split([len(part.rows) for part in parts], 1)
    with freeze_bn_stats(task.modules()):
        for part, gradient, state in zip(parts, gradients, states, strict=True):
            with _random_numbers_from(state, part.device), autocast():
                again = task.encode(task.views(part))
            again.backward(gradient)
    return {name: value.detach() for name, value in losses.items()}


def encode_parts(
    task: GradCacheTask, parts: Sequence[Batch], autocast: Autocast = contextlib.nullcontext
) -> tuple[Tensor, Tensor, list[RandomState]]:
    """Return features and targets of all micro-batches, and the random state before each of them was encoded."""
    states, features, targets = [], [], []
    for part in parts:
        states.append(_random_state(part.device))
        with autocast():
            views = task.views(part)
            features.append(task.encode(views))
            targets.append(task.targets(views))
    return torch.cat(features, 1), torch.cat(targets, 1), states


def _random_state(device: torch.device) -> RandomState:
    return torch.get_rng_state(), torch.cuda.get_rng_state(device) if device.type == "cuda" else None


@contextlib.contextmanager
def _random_numbers_from(state: RandomState, device: torch.device) -> Iterator[None]:
    """Draw the random numbers (dropout) that follow `state` inside the context, and restore the generators after it."""
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
