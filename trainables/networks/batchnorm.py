"""Batch normalisation over all workers' samples, on any device.

torch's SyncBatchNorm refuses the CPU; there the same statistics are computed by a differentiable sum over the workers.
"""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm


class _SumOverWorkers(Function):
    """All-reduce whose gradient is the all-reduce of the gradients."""

    @staticmethod
    def forward(ctx: object, value: Tensor) -> Tensor:
        total = value.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> Tensor:
        total = gradient.clone()
        dist.all_reduce(total)
        return total


def _sum_over_workers(value: Tensor) -> Tensor:
    total: Tensor = _SumOverWorkers.apply(value)  # type: ignore[no-untyped-call]
    return total


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
        axes = [axis for axis in range(x.dim()) if axis != 1]
        shape = [1, -1] + [1] * (x.dim() - 2)
        count = x.new_tensor([x.numel() / x.shape[1]])
        total, n = _sum_over_workers(torch.cat([x.sum(axes), count])).split([x.shape[1], 1])
        mean = total / n
        centred = x - mean.view(shape)
        variance = _sum_over_workers(centred.square().sum(axes)) / n
        self._remember(mean.detach(), variance.detach(), float(n.detach()))
        scale = torch.rsqrt(variance + self.eps)
        if self.affine:
            scale = scale * self.weight
        out = centred * scale.view(shape)
        if self.affine:
            out = out + self.bias.view(shape)
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
