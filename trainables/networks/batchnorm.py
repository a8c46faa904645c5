"""Batch normalisation over all workers' samples, on any device.

torch's SyncBatchNorm refuses the CPU; there the same is done by what torch offers for it.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm


def _of_all_workers(own: Tensor) -> Tensor:
    """A vector of each worker, `(W, N)`; gloo is many times faster to gather a short one than to reduce it."""
    gathered = [torch.empty_like(own) for _ in range(dist.get_world_size())]
    dist.all_gather(gathered, own)
    return torch.stack(gathered)


class _Normalise(Function):
    """Normalises `(B, C, ...)` by all workers' samples; gives also their mean and variance `(C,)`, and their number.

    One exchange between the workers forward and one backward, where most of the time goes.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        own = torch.cat([*torch.batch_norm_update_stats(x, None, None, 0.0), x.new_tensor([x.numel() / x.shape[1]])])
        means, variances, counts = _of_all_workers(own).split([x.shape[1], x.shape[1], 1], 1)
        count = counts.sum()
        mean = (counts * means).sum(0) / count
        variance = (counts * (variances + (means - mean).square())).sum(0) / count
        ctx.save_for_backward(x, weight, mean, torch.rsqrt(variance + eps), count)
        ctx.mark_non_differentiable(mean, variance, count)
        return F.batch_norm(x, mean, variance, weight, bias, eps=eps), mean, variance, count

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None, None]:
        x, weight, mean, scale, count = ctx.saved_tensors
        axes = [axis for axis in range(x.dim()) if axis != 1]
        shape = [1, -1] + [1] * (x.dim() - 2)
        normalised = (x - mean.view(shape)).mul_(scale.view(shape))
        shift, stretch = gradient.sum(axes), (gradient * normalised).sum(axes)
        own = (None, None) if weight is None else (stretch, shift)
        shift, stretch = (_of_all_workers(torch.cat([shift, stretch])).sum(0) / count).view(2, *shape)
        back = normalised.mul_(-stretch).add_(gradient).sub_(shift)
        return back.mul_((scale if weight is None else scale * weight).view(shape)), *own, None


class SyncBatchNorm(_BatchNorm):
    """Batch normalisation by the mean and variance of all workers' samples."""

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() < 2:
            raise ValueError(f"expected at least 2 dimensions, got {input.dim()}")

    def forward(self, input: Tensor) -> Tensor:
        """Normalise `(B, C, ...)`; in evaluation mode by the running statistics, as ever."""
        if not self.training or not dist.is_initialized() or dist.get_world_size() == 1:
            return _by_own_samples(self, input)
        x = input.float() if input.dtype in (torch.bfloat16, torch.float16) else input
        out, mean, variance, count = _Normalise.apply(x, self.weight, self.bias, self.eps)  # type: ignore[no-untyped-call]
        self._remember(mean, variance, float(count))
        normalised: Tensor = out.to(input.dtype)
        return normalised

    def _remember(self, mean: Tensor, variance: Tensor, count: float) -> None:
        if self.running_mean is None or self.running_var is None:
            return
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
        momentum = self.momentum
        if momentum is None:
            assert self.num_batches_tracked is not None
            momentum = 1.0 / float(self.num_batches_tracked)
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), momentum)
        self.running_var.lerp_((variance * (count / max(count - 1, 1))).to(self.running_var.dtype), momentum)


def _by_own_samples(module: _BatchNorm, x: Tensor) -> Tensor:
    batch = module.training or module.running_mean is None
    if module.training and module.num_batches_tracked is not None:
        module.num_batches_tracked.add_(1)
    momentum = module.momentum if module.momentum is not None else 0.0
    return F.batch_norm(
        x, module.running_mean, module.running_var, module.weight, module.bias, batch, momentum, module.eps
    )


def synchronise(module: nn.Module) -> nn.Module:
    """`module` with every batch norm in it sharing statistics between the workers; parameters stay the same ones."""
    for name, child in module.named_children():
        if isinstance(child, _BatchNorm) and not isinstance(child, SyncBatchNorm | nn.SyncBatchNorm):
            setattr(module, name, _converted(child))
        else:
            synchronise(child)
    return module


def _converted(norm: _BatchNorm) -> nn.Module:
    if next(iter(norm.state_dict().values())).is_cuda:
        converted: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(norm)
        return converted
    synced = SyncBatchNorm(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats)
    for name in ("weight", "bias"):
        synced.register_parameter(name, getattr(norm, name))
    for name in ("running_mean", "running_var", "num_batches_tracked"):
        synced.register_buffer(name, getattr(norm, name))
    synced.training = norm.training
    return synced
