"""Running statistics of batch norm when a batch is processed as micro-batches."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


@contextlib.contextmanager
def update_bn_once(modules: Iterable[nn.Module], parts: int) -> Iterator[None]:
    """Update running statistics once for all micro-batches that the modules process inside the context.

    Number and momentum of the updates are those of the logical batch. Each update uses the mean of the micro-batches'
    statistics, weighted by their images. This equals the logical batch's mean if the inputs of the norm do not depend
    on the split; the running variance excludes the variance between the micro-batches' means.

    Args:
        modules: modules that process the micro-batches, with their submodules.
        parts: number of micro-batches in the logical batch.
    """
    saved = [_SavedNorm(norm) for norm in _updated_norms(modules)]
    hooks = [each.norm.register_forward_pre_hook(each.before) for each in saved]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        for each in saved:
            each.flush(parts)


@contextlib.contextmanager
def freeze_bn_stats(modules: Iterable[nn.Module]) -> Iterator[None]:
    """Keep the running statistics of all batch norms fixed inside the context; outputs do not change."""
    saved = [_SavedNorm(norm) for norm in _updated_norms(modules)]
    for each in saved:
        each.norm.momentum = 0.0
    try:
        yield
    finally:
        for each in saved:
            each.restore()


def freeze_norms(module: nn.Module) -> None:
    """Set the batch norms inside a module to evaluation mode, so that they use and keep their running statistics."""
    for each in module.modules():
        if isinstance(each, _BatchNorm):
            each.eval()


@torch.no_grad()
def recalibrate(network: nn.Module, inputs: Iterable[tuple[Tensor, ...]]) -> None:
    """Replace running statistics by the mean of those of batches (Ioffe and Szegedy 2015, algorithm 2).

    Weights and the modes of all modules stay as they are.

    Args:
        network: module with the batch norms; a part whose weights are frozen keeps its statistics.
        inputs: arguments of the network's forward pass, batch by batch; batches have equal weight.
    """
    norms = [module for module in network.modules() if isinstance(module, _BatchNorm) and _calibrated(module)]
    before = [(norm.training, norm.momentum) for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # cumulative average
        norm.train()
    try:
        for each in inputs:
            network(*each)
    finally:
        for norm, (training, momentum) in zip(norms, before, strict=True):
            norm.train(training)
            norm.momentum = momentum


def _calibrated(norm: _BatchNorm) -> bool:
    """Return True for a norm with running statistics whose weights are trained."""
    return norm.running_mean is not None and all(p.requires_grad for p in norm.parameters())


class _SavedNorm:
    """A batch norm and its running statistics, momentum and count before the context."""

    def __init__(self, norm: _BatchNorm) -> None:
        assert norm.running_mean is not None
        assert norm.running_var is not None
        assert norm.num_batches_tracked is not None
        self.norm, self.momentum, self.count = norm, norm.momentum, norm.num_batches_tracked
        self.running = [norm.running_mean, norm.running_var]
        self.values = [value.clone() for value in self.running]
        self.counted = self.count.clone()
        self.calls, self.images = 0, 0

    def before(self, norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        """Set the momentum with which the next call makes the running statistics the mean over all calls so far."""
        if self.norm.momentum == 0.0:  # inside `freeze_bn_stats`: recomputed for the gradient
            return
        self.calls += 1
        self.images += len(inputs[0])
        self.norm.momentum = len(inputs[0]) / self.images

    @torch.no_grad()
    def flush(self, parts: int) -> None:
        """Update the saved running statistics by the mean over all calls inside the context."""
        self.restore()
        if self.calls == 0:
            return
        times = round(self.calls / parts)
        self.count.add_(times)
        momentum = self.momentum if self.momentum is not None else 1 / float(self.count)
        for running, value in zip(self.running, self.values, strict=True):
            running.copy_(value.lerp(running, 1 - (1 - momentum) ** times))

    @torch.no_grad()
    def restore(self) -> None:
        """Restore the momentum and the count from before the context."""
        self.norm.momentum = self.momentum
        self.count.copy_(self.counted)


def _updated_norms(modules: Iterable[nn.Module]) -> list[_BatchNorm]:
    """Return the batch norms in training mode that have running statistics."""
    norms = [module for module in modules if isinstance(module, _BatchNorm)]
    return [norm for norm in norms if norm.training and norm.running_mean is not None]
