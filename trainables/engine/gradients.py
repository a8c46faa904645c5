"""Gradient strategies: the batch at once, by gradient accumulation, or by gradient caching."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn

from trainables.common.errors import UserError
from trainables.data.sampling.batches import Batch
from trainables.engine.grad_accumulation import accumulate_gradients
from trainables.engine.grad_cache import GradCacheTask, grad_cache
from trainables.engine.precision import MixedPrecision
from trainables.engine.runtime import Runtime
from trainables.engine.split import split
from trainables.engine.task import Task

GradientStrategy = Callable[[Batch], dict[str, Tensor]]
"""Function that adds the gradients of a batch's loss to the parameters and returns the batch's scalar losses."""


def gradient_strategy(
    task: Task, model: nn.Module, runtime: Runtime, precision: MixedPrecision, micro_batch: int | None
) -> GradientStrategy:
    """Return the strategy that the task's loss and `micro_batch` require.

    Args:
        task: networks and loss; its `division` says how a batch of it can be split.
        model: the task as wrapped by the runtime.
        runtime: worker group, over which gradients are averaged.
        precision: precision of the forward pass.
        micro_batch: most images that are processed at a time; None processes each batch at once.

    Raises:
        UserError: `micro_batch` is set, but the loss cannot be computed from micro-batches.
    """
    plain = PlainGradients(model, precision)
    if micro_batch is None:
        return plain
    if task.division == "none":
        raise UserError(
            f"micro_batch: the loss of {type(task).__name__} does not support micro-batching. Fix: remove micro_batch"
        )
    if task.division == "images":
        add = partial(accumulate_gradients, task, backward=precision.backward, autocast=precision.autocast)
    else:
        cached = cast(GradCacheTask, task)
        add = partial(grad_cache, cached, backward=precision.backward, autocast=precision.autocast)
    return MicroBatchGradients(plain, add, model, runtime, micro_batch)


class PlainGradients:
    """Forward and backward pass of the batch at once.

    Args:
        model: a task, possibly wrapped for data-parallel training, which then averages gradients over the workers.
        precision: precision of the forward pass.
    """

    def __init__(self, model: nn.Module, precision: MixedPrecision) -> None:
        self._model, self._precision = model, precision

    def __call__(self, batch: Batch) -> dict[str, Tensor]:
        """Add the gradients of the batch's loss to the parameters and return its losses."""
        with self._precision.autocast():
            losses: dict[str, Tensor] = self._model(batch)
        self._precision.backward(losses["loss"])
        return losses


class MicroBatchGradients:
    """Gradients of a batch, one micro-batch at a time.

    Args:
        plain: strategy for a batch that is no larger than a micro-batch.
        add: function that adds the gradients of a list of micro-batches and returns the losses of their batch.
        model: a task, possibly wrapped for data-parallel training, whose synchronization is turned off: the gradients
            are averaged over the workers once, after the last micro-batch.
        runtime: worker group.
        size: most images in a micro-batch.
    """

    def __init__(
        self,
        plain: GradientStrategy,
        add: Callable[[Sequence[Batch]], dict[str, Tensor]],
        model: nn.Module,
        runtime: Runtime,
        size: int,
    ) -> None:
        self._plain, self._add, self._model, self._runtime, self._size = plain, add, model, runtime, size

    def __call__(self, batch: Batch) -> dict[str, Tensor]:
        """Add the gradients of the batch's loss to the parameters and return its losses."""
        parts = split(batch, self._size)
        if len(parts) == 1:
            return self._plain(batch)
        with getattr(self._model, "no_sync", contextlib.nullcontext)():
            losses = self._add(parts)
        if self._runtime.world_size > 1:
            average([each.grad for each in self._model.parameters() if each.grad is not None], self._runtime)
        return losses


def average(gradients: Sequence[Tensor], runtime: Runtime) -> None:
    """Replace gradients by their means over the workers, in one exchange for each type of numbers."""
    for dtype in dict.fromkeys(gradient.dtype for gradient in gradients):  # in equal order on all workers
        alike = [gradient for gradient in gradients if gradient.dtype is dtype]
        means = runtime.mean(torch.cat([gradient.reshape(-1) for gradient in alike]))
        for gradient, mean in zip(alike, means.split([gradient.numel() for gradient in alike]), strict=True):
            gradient.copy_(mean.view_as(gradient))
