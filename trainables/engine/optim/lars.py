"""Layer-wise adaptive rate scaling (LARS)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from trainables.engine.optim.closure import evaluated


class LARS(torch.optim.Optimizer):
    """SGD with momentum whose step in each layer is proportional to the norm of the layer's weights.

    You et al. 2017, algorithm 1: v <- m v + lr r g and w <- w - v, with g the gradient plus weight decay and
    r = trust |w| / |g|, or 1 where either norm is 0. As in SimCLR and BYOL, |g| is the norm of the gradient plus
    weight decay, and tensors of at most one dimension (biases, parameters of normalization) have r = 1 and no weight
    decay.

    Args:
        params: parameters or parameter groups, as in other torch optimizers.
        lr: learning rate, above 0.
        momentum: factor of the previous step, in [0, 1).
        weight_decay: factor of the weights that is added to the gradient, at least 0.
        trust: trust coefficient, above 0.
    """

    def __init__(
        self, params: Any, lr: float, momentum: float = 0.9, weight_decay: float = 0.0, trust: float = 1e-3
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "trust": trust})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Update the parameters by one step and return the loss of `closure`, if there is one."""
        loss = evaluated(closure)
        for group in self.param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            layers, vectors = [p for p in params if p.ndim > 1], [p for p in params if p.ndim <= 1]
            if vectors:
                self._apply_momentum(
                    vectors, torch._foreach_mul([_grad(p) for p in vectors], group["lr"]), group["momentum"]
                )
            if layers:
                self._apply_momentum(layers, _scale_layers(layers, group), group["momentum"])
        return loss

    def _apply_momentum(self, params: list[Tensor], scaled: list[Tensor] | tuple[Tensor, ...], momentum: float) -> None:
        for p in params:
            if "velocity" not in self.state[p]:
                self.state[p]["velocity"] = torch.zeros_like(p)
        velocities = [self.state[p]["velocity"] for p in params]
        torch._foreach_mul_(velocities, momentum)
        torch._foreach_add_(velocities, scaled)
        torch._foreach_sub_(params, velocities)


def _scale_layers(layers: list[Tensor], group: dict[str, Any]) -> list[Tensor] | tuple[Tensor, ...]:
    """Return each layer's gradient plus weight decay, times the learning rate and the layer's trust ratio."""
    decayed = torch._foreach_add([_grad(p) for p in layers], layers, alpha=group["weight_decay"])
    weight_norms, gradient_norms = torch.stack(torch._foreach_norm(layers)), torch.stack(torch._foreach_norm(decayed))
    ratios = torch.where(
        (weight_norms > 0) & (gradient_norms > 0),
        group["trust"] * weight_norms / gradient_norms,
        torch.ones_like(weight_norms),
    )
    torch._foreach_mul_(decayed, (group["lr"] * ratios).unbind())
    return decayed


def _grad(parameter: Tensor) -> Tensor:
    assert parameter.grad is not None
    return parameter.grad
