"""Running statistics of batch norm where a batch comes in parts."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


@contextlib.contextmanager
def update_bn_once(modules: Iterable[nn.Module], parts: int) -> Iterator[None]:
    """While entered, the parts of one batch go through the modules; running statistics move as if it were one batch.

    They move as often and as far as the whole batch would have moved them, towards the mean of the parts' statistics,
    weighted by images. Where a norm's input is the whole batch's, that is the whole batch's mean; the variance leaves
    out how the parts' means differ.
    """
    kept = [_Kept(norm) for norm in _moving(modules)]
    hooks = [each.norm.register_forward_pre_hook(each.before) for each in kept]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        for each in kept:
            each.flush(parts)


@contextlib.contextmanager
def freeze_bn_stats(modules: Iterable[nn.Module]) -> Iterator[None]:
    """While entered, batch norms normalise as ever but leave their running statistics where they are."""
    kept = [_Kept(norm) for norm in _moving(modules)]
    for each in kept:
        each.norm.momentum = 0.0
    try:
        yield
    finally:
        for each in kept:
            each.restore()


class _Kept:
    """A batch norm, and what it knew before."""

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
        """Let the next call make the running statistics the mean over all calls so far."""
        if self.norm.momentum == 0.0:  # the norm is `freeze_bn_stats`: a call made again for its gradient
            return
        self.calls += 1
        self.images += len(inputs[0])
        self.norm.momentum = len(inputs[0]) / self.images

    @torch.no_grad()
    def flush(self, parts: int) -> None:
        """Move from what was known towards the mean of all calls."""
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
        """Momentum and count as they were."""
        self.norm.momentum = self.momentum
        self.count.copy_(self.counted)


def _moving(modules: Iterable[nn.Module]) -> list[_BatchNorm]:
    norms = [module for module in modules if isinstance(module, _BatchNorm)]
    return [norm for norm in norms if norm.training and norm.running_mean is not None]
