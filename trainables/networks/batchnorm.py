"""Synchronized batch normalization: mean and variance over the samples of all workers, on any device.

`torch.nn.SyncBatchNorm` runs on GPUs only, and waits for them in each layer.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn import functional as F
from torch.nn.modules._functions import SyncBatchNorm as TorchSyncBatchNorm
from torch.nn.modules.batchnorm import _BatchNorm


def _gather_workers(local: Tensor) -> Tensor:
    """Return the vectors `(N,)` of all workers as `(W, N)`; gloo gathers short vectors faster than it reduces them."""
    gathered = [torch.empty_like(local) for _ in range(dist.get_world_size())]
    dist.all_gather(gathered, local)
    return torch.stack(gathered)


class _GlobalBatchNorm(Function):
    """Batch normalization of `(B, C, ...)` by the mean and variance `(C,)` over all workers, which it also returns.

    Communication takes most of the time, so each pass, forward and backward, needs one exchange between the workers.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        own = torch.batch_norm_update_stats(x, None, None, 0.0)
        local = torch.cat([*own, x.new_full((1,), x.numel() / x.shape[1])])
        means, variances, counts = _gather_workers(local).split([x.shape[1], x.shape[1], 1], 1)
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
        normalized = (x - mean.view(shape)).mul_(scale.view(shape))
        grad_bias, grad_weight = gradient.sum(axes), (gradient * normalized).sum(axes)
        param_grads = (None, None) if weight is None else (grad_weight, grad_bias)
        grad_bias, grad_weight = (_gather_workers(torch.cat([grad_bias, grad_weight])).sum(0) / count).view(2, *shape)
        grad_input = normalized.mul_(-grad_weight).add_(gradient).sub_(grad_bias)
        return grad_input.mul_((scale if weight is None else scale * weight).view(shape)), *param_grads, None


class _FusedGlobalBatchNorm(TorchSyncBatchNorm):
    """Torch's synchronized batch normalization on a GPU, for workers with at least one sample each.

    Torch removes workers without samples by a mask in each forward pass, for which the CPU waits. Its backward pass
    is used as it is.
    """

    @staticmethod
    def forward(  # type: ignore[override]  # fewer arguments: the group is that of all workers
        ctx: Any,
        x: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        running_mean: Tensor | None,
        running_var: Tensor | None,
        eps: float,
        momentum: float,
    ) -> Tensor:
        x = x if _is_channels_last(x) else x.contiguous()
        mean, scale = torch.batch_norm_stats(x, eps)
        local = torch.cat([mean, scale, mean.new_full((1,), x.numel() // x.shape[1])])
        means, scales, counts = _gather_workers(local).split([x.shape[1], x.shape[1], 1], 1)
        mean, scale = torch.batch_norm_gather_stats_with_counts(
            x, means, scales, running_mean, running_var, momentum, eps, counts.reshape(-1)
        )
        ctx.save_for_backward(x, weight, mean, scale, counts.to(torch.int32))
        ctx.process_group = dist.group.WORLD
        out: Tensor = torch.batch_norm_elemt(x, weight, bias, mean, scale, eps)
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        found: tuple[Tensor | None, ...] = TorchSyncBatchNorm.backward(ctx, gradient)
        return found[:7]


def _is_channels_last(x: Tensor) -> bool:
    """Return True if the channels of images or volumes are their innermost axis in memory."""
    return any(
        x.dim() == dim and x.is_contiguous(memory_format=layout)
        for dim, layout in ((4, torch.channels_last), (5, torch.channels_last_3d))
    )


class SyncBatchNorm(_BatchNorm):
    """Batch normalization by the mean and variance over the samples of all workers, each of which has some.

    No pass waits for a GPU.
    """

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() < 2:
            raise ValueError(f"expected at least 2 dimensions, got {input.dim()}")

    def forward(self, input: Tensor) -> Tensor:
        """Normalize `(B, C, ...)` by all workers' statistics; by the running statistics in evaluation mode."""
        if not self.training or not dist.is_initialized() or dist.get_world_size() == 1:
            return _local_batch_norm(self, input)
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
        if uses_fused_kernels(input):
            return self._fused(input)
        x = input.float() if input.dtype in (torch.bfloat16, torch.float16) else input
        out, mean, variance, count = _GlobalBatchNorm.apply(x, self.weight, self.bias, self.eps)  # type: ignore[no-untyped-call]
        self._update_running_statistics(mean, variance, float(count))
        normalized: Tensor = out.to(input.dtype)
        return normalized

    def _fused(self, x: Tensor) -> Tensor:
        """Return the normalized samples by torch's kernels for GPUs, which update the running statistics, too."""
        statistics = (self.running_mean, self.running_var) if self.track_running_stats else (None, None)
        normalized: Tensor = _FusedGlobalBatchNorm.apply(  # type: ignore[no-untyped-call]
            x, self.weight, self.bias, *statistics, self.eps, self._momentum()
        )
        return normalized

    def _momentum(self) -> float:
        """Return the weight of this batch in the running statistics; without `momentum` they are cumulative means."""
        if self.momentum is not None:
            return self.momentum
        return 1.0 / float(self.num_batches_tracked) if self.num_batches_tracked is not None else 0.0

    def _update_running_statistics(self, mean: Tensor, variance: Tensor, count: float) -> None:
        if self.running_mean is None or self.running_var is None:
            return
        momentum = self._momentum()
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), momentum)
        self.running_var.lerp_((variance * (count / max(count - 1, 1))).to(self.running_var.dtype), momentum)


class _SyncBatchNormAct(SyncBatchNorm):
    """Synchronized batch normalization with the dropout and activation of timm's `BatchNormAct2d`."""

    drop: nn.Module
    act: nn.Module

    def forward(self, input: Tensor) -> Tensor:
        """Normalize and activate `(B, C, ...)`."""
        activated: Tensor = self.act(self.drop(super().forward(input)))
        return activated


def uses_fused_kernels(x: Tensor) -> bool:
    """Return True where torch has fused kernels for synchronized batch normalization: on GPUs."""
    return x.is_cuda


def _local_batch_norm(module: _BatchNorm, x: Tensor) -> Tensor:
    """Normalize `x` by this worker's samples, or by the running statistics in evaluation mode."""
    use_batch = module.training or module.running_mean is None
    if module.training and module.num_batches_tracked is not None:
        module.num_batches_tracked.add_(1)
    momentum = module.momentum if module.momentum is not None else 0.0
    return F.batch_norm(
        x, module.running_mean, module.running_var, module.weight, module.bias, use_batch, momentum, module.eps
    )


def synchronise(module: nn.Module) -> nn.Module:
    """Replace every batch norm inside `module` by a synchronized one that keeps its parameters; return `module`."""
    for name, child in module.named_children():
        if isinstance(child, _BatchNorm) and not isinstance(child, SyncBatchNorm | nn.SyncBatchNorm):
            setattr(module, name, _to_sync_batch_norm(child))
        else:
            synchronise(child)
    return module


def _to_sync_batch_norm(norm: _BatchNorm) -> SyncBatchNorm:
    activates = hasattr(norm, "drop") and hasattr(norm, "act")
    kind = _SyncBatchNormAct if activates else SyncBatchNorm
    synced = kind(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats)
    if activates:
        synced.drop, synced.act = norm.drop, norm.act
    for name in ("weight", "bias"):
        synced.register_parameter(name, getattr(norm, name))
    for name in ("running_mean", "running_var", "num_batches_tracked"):
        synced.register_buffer(name, getattr(norm, name))
    synced.training = norm.training
    return synced
