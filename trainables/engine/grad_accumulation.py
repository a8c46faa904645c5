"""Gradient accumulation: a logical batch in the memory of a micro-batch, for losses that are a mean over images.

The accumulated gradients equal those of the logical batch to rounding, with one exception: batch norm normalizes by
the statistics of a micro-batch. Instance norm and no norm are exact. Dropout draws other numbers than for the logical
batch.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from trainables.data.sampling.batches import Batch
from trainables.networks.running_statistics import update_bn_once

Backward = Callable[[Tensor], None]
"""Function that back-propagates a loss, scaled as the precision requires."""

Autocast = Callable[[], contextlib.AbstractContextManager[object]]
"""Function that returns the context manager of a forward pass, which sets its precision."""


class MeanLossTask(Protocol):
    """A task whose loss is a mean over images."""

    def modules(self) -> Iterator[nn.Module]:
        """Return the task's networks and their submodules."""
        ...

    def training_step(self, batch: Batch) -> dict[str, Tensor]:
        """Return the scalar losses of a micro-batch."""
        ...


def accumulate_gradients(
    task: MeanLossTask, parts: Sequence[Batch], backward: Backward, autocast: Autocast
) -> dict[str, Tensor]:
    """Add the gradients of a logical batch to the parameters, one micro-batch after the other.

    Args:
        task: networks and a loss that is a mean over images.
        parts: micro-batches of one logical batch.
        backward: function that back-propagates a loss.
        autocast: function that returns the context manager of a forward pass.

    Returns:
        Detached scalar losses of the logical batch by name.
    """
    total = sum(len(part.rows) for part in parts)
    sums: dict[str, Tensor] = {}
    with update_bn_once(task.modules(), len(parts)):
        for part in parts:
            weight = len(part.rows) / total
            with autocast():
                losses = task.training_step(part)
            backward(losses["loss"] * weight)
            for name, value in losses.items():
                sums[name] = sums.get(name, torch.zeros_like(value.detach())) + weight * value.detach()
    return sums
