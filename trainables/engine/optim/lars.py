"""Layer-wise adaptive rate scaling."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


class LARS(torch.optim.Optimizer):
    """SGD with momentum whose step in each layer is in proportion to the layer's own norm.

    You et al. 2017, algorithm 1: v <- m v + lr r g and w <- w - v, with g the gradient plus weight decay and
    r = trust |w| / |g|, or 1 where either norm is 0. As in SimCLR and BYOL the norm is taken of the decayed gradient,
    and tensors of one dimension or none (biases, scales and shifts of normalisation) have r = 1 and no weight decay.

    Args:
        params: tensors or groups.
        lr: learning rate.
        momentum: in [0, 1).
        weight_decay: at least 0.
        trust: the trust coefficient.
    """

    def __init__(
        self, params: Any, lr: float, momentum: float = 0.9, weight_decay: float = 0.0, trust: float = 1e-3
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "trust": trust})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step along the gradients that the parameters hold."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            layers, vectors = [p for p in params if p.ndim > 1], [p for p in params if p.ndim <= 1]
            if vectors:
                self._move(vectors, torch._foreach_mul([_grad(p) for p in vectors], group["lr"]), group["momentum"])
            if layers:
                self._move(layers, _adapted(layers, group), group["momentum"])
        return loss

    def _move(self, params: list[Tensor], scaled: list[Tensor] | tuple[Tensor, ...], momentum: float) -> None:
        for p in params:
            if "velocity" not in self.state[p]:
                self.state[p]["velocity"] = torch.zeros_like(p)
        velocities = [self.state[p]["velocity"] for p in params]
        torch._foreach_mul_(velocities, momentum)
        torch._foreach_add_(velocities, scaled)
        torch._foreach_sub_(params, velocities)


def _adapted(layers: list[Tensor], group: dict[str, Any]) -> list[Tensor] | tuple[Tensor, ...]:
    """The layers' decayed gradients, each times the learning rate and its own trust ratio."""
    decayed = torch._foreach_add([_grad(p) for p in layers], layers, alpha=group["weight_decay"])
    sizes, steps = torch.stack(torch._foreach_norm(layers)), torch.stack(torch._foreach_norm(decayed))
    ratios = torch.where((sizes > 0) & (steps > 0), group["trust"] * sizes / steps, torch.ones_like(sizes))
    torch._foreach_mul_(decayed, (group["lr"] * ratios).unbind())
    return decayed


def _grad(parameter: Tensor) -> Tensor:
    assert parameter.grad is not None
    return parameter.grad
