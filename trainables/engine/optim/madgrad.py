"""Momentumized adaptive dual averaging (MADGRAD)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from trainables.engine.optim.closure import evaluated


class MADGRAD(torch.optim.Optimizer):
    """MADGRAD (Defazio and Jelassi 2021) with one operation for all weights of a group.

    Results and state equal those of the authors' package `madgrad`, which takes several operations for each weight.
    Weights and gradients are dense, and of float32 or wider.

    Args:
        params: parameters or parameter groups, as in other torch optimizers.
        lr: learning rate, at least 0.
        momentum: factor of the previous step, in [0, 1).
        weight_decay: factor of the weights that is added to the gradient, at least 0.
        eps: term added to the denominator, outside the root, and to the learning rate; at least 0.
    """

    def __init__(
        self, params: Any, lr: float = 1e-2, momentum: float = 0.9, weight_decay: float = 0.0, eps: float = 1e-6
    ) -> None:
        super().__init__(params, {"lr": lr, "eps": eps, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Update the parameters by one step and return the loss of `closure`, if there is one."""
        loss = evaluated(closure)
        shared: dict[Any, Any] = self.state  # the authors keep the step beside the states of the weights
        if "k" not in shared:
            shared["k"] = torch.tensor([0], dtype=torch.long)  # on the CPU
        step = shared["k"]
        for group in self.param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            if params:
                self._step_group(params, group, math.sqrt(step.item() + 1))
        step += 1
        return loss

    def _step_group(self, params: list[Tensor], group: dict[str, Any], root: float) -> None:
        lr, momentum, eps = group["lr"], group["momentum"], group["eps"]
        rate = (lr + eps if lr != 0.0 else lr) * root
        for p in params:
            if "grad_sum_sq" not in self.state[p]:
                self._add_state(p, momentum)
        gradients = [p.grad for p in params if p.grad is not None]
        squares, sums = ([self.state[p][name] for p in params] for name in ("grad_sum_sq", "s"))
        if group["weight_decay"] != 0:
            torch._foreach_add_(gradients, params, alpha=group["weight_decay"])
        if momentum == 0:
            starts = list(torch._foreach_addcdiv(params, sums, self._roots(squares, eps), value=1))
        else:
            starts = [self.state[p]["x0"] for p in params]
        torch._foreach_addcmul_(squares, gradients, gradients, value=rate)
        roots = self._roots(squares, eps)
        if eps == 0:
            for each in roots:
                each.masked_fill_(each == 0, math.inf)
        torch._foreach_add_(sums, gradients, alpha=rate)
        targets = torch._foreach_addcdiv(starts, sums, roots, value=-1)
        if momentum == 0:
            torch._foreach_copy_(params, targets)
        else:
            torch._foreach_mul_(params, momentum)
            torch._foreach_add_(params, targets, alpha=1 - momentum)

    def _add_state(self, p: Tensor, momentum: float) -> None:
        self.state[p] |= {"grad_sum_sq": torch.zeros_like(p), "s": torch.zeros_like(p)}
        if momentum != 0:
            self.state[p]["x0"] = p.clone()

    @staticmethod
    def _roots(squares: list[Tensor], eps: float) -> tuple[Tensor, ...]:
        """Return the cube roots of the squares' sums, plus eps."""
        roots = torch._foreach_pow(squares, 1 / 3)
        torch._foreach_add_(roots, eps)
        return roots
