"""Settings of optimizers, which build them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import torch

from trainables.engine.optim import lars, madgrad

Groups = list[dict[str, Any]]
"""Parameter groups as `Task.parameter_groups` returns them: `params`, and `lr_scale`, which the loop applies."""


@dataclass(frozen=True, kw_only=True)
class Optimizer(ABC):
    """Settings that build an optimizer.

    Attributes:
        lr: learning rate, above 0, before the schedule's factor and a group's `lr_scale`.
        weight_decay: factor of the weights that is added to the gradient, at least 0; 0 is no weight decay.
    """

    lr: float = 1e-3
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        if not self.lr > 0:
            raise ValueError(f"lr is {self.lr}, expected a number above 0")
        if not self.weight_decay >= 0:
            raise ValueError(f"weight_decay is {self.weight_decay}, expected at least 0")

    @abstractmethod
    def build(self, groups: Groups) -> torch.optim.Optimizer:
        """Return an optimizer of these parameter groups; each starts at `lr` and keeps its other keys."""


@dataclass(frozen=True, kw_only=True)
class Adam(Optimizer):
    """Adam (Kingma and Ba 2015). Weight decay is added to the gradient.

    Attributes:
        betas: decay rates of the running means of the gradient and of its square, each in [0, 1).
        eps: term added to the denominator, above 0.
        amsgrad: True uses the largest running square so far as the denominator (Reddi et al. 2018); off by default.

    Example:
        >>> optimizer = Adam(lr=0.01).build([{"params": [torch.zeros(1, requires_grad=True)]}])
        >>> optimizer.param_groups[0]["lr"]
        0.01
    """

    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    amsgrad: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_adam(self.betas, self.eps)

    def build(self, groups: Groups) -> torch.optim.Optimizer:
        """Return torch's fused Adam of these parameter groups."""
        return torch.optim.Adam(
            groups, self.lr, self.betas, self.eps, self.weight_decay, amsgrad=self.amsgrad, fused=True
        )


@dataclass(frozen=True, kw_only=True)
class AdamW(Optimizer):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019).

    Attributes:
        weight_decay: fraction of the weights, times the learning rate, that is subtracted in each step; at least 0.
        betas: decay rates of the running means of the gradient and of its square, each in [0, 1).
        eps: term added to the denominator, above 0.
    """

    weight_decay: float = 1e-2
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_adam(self.betas, self.eps)

    def build(self, groups: Groups) -> torch.optim.Optimizer:
        """Return torch's fused AdamW of these parameter groups."""
        return torch.optim.AdamW(groups, self.lr, self.betas, self.eps, self.weight_decay, fused=True)


@dataclass(frozen=True, kw_only=True)
class SGD(Optimizer):
    """Stochastic gradient descent.

    Attributes:
        momentum: factor of the previous step, in [0, 1).
        nesterov: True uses Nesterov momentum, which requires a momentum above 0; off by default.
    """

    lr: float = 1e-2
    momentum: float = 0.9
    nesterov: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_fraction("momentum", self.momentum)
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov is true while momentum is 0, expected a momentum in (0, 1)")

    def build(self, groups: Groups) -> torch.optim.Optimizer:
        """Return torch's SGD; its fused form fails if a weight gets its first gradient later than others."""
        return torch.optim.SGD(
            groups, self.lr, self.momentum, weight_decay=self.weight_decay, nesterov=self.nesterov, foreach=True
        )


@dataclass(frozen=True, kw_only=True)
class Madgrad(Optimizer):
    """Momentumized adaptive dual averaging (Defazio and Jelassi 2021), as in the authors' package `madgrad`.

    It needs less weight decay than Adam, often none.

    Attributes:
        momentum: factor of the previous step, in [0, 1).
        eps: term added to the denominator, outside the root, and to the learning rate; at least 0.
    """

    momentum: float = 0.9
    eps: float = 1e-6

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_fraction("momentum", self.momentum)
        if not self.eps >= 0:
            raise ValueError(f"eps is {self.eps}, expected at least 0")

    def build(self, groups: Groups) -> torch.optim.Optimizer:
        """Return MADGRAD of these parameter groups."""
        return madgrad.MADGRAD(groups, self.lr, self.momentum, self.weight_decay, self.eps)


@dataclass(frozen=True, kw_only=True)
class Lars(Optimizer):
    """Layer-wise adaptive rate scaling (You et al. 2017), as SimCLR and BYOL use it.

    Biases and normalization parameters get plain momentum steps and no weight decay. Both papers scale the rate with
    the logical batch: lr = 0.3 x batch / 256 (SimCLR), 0.2 to 0.45 x batch / 256 (BYOL).

    Attributes:
        weight_decay: factor of the weights that is added to the gradient before the trust ratio; at least 0.
        momentum: factor of the previous step, in [0, 1).
        trust: trust coefficient, above 0.
    """

    lr: float = 0.3
    weight_decay: float = 1e-6
    momentum: float = 0.9
    trust: float = 1e-3

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_fraction("momentum", self.momentum)
        if not self.trust > 0:
            raise ValueError(f"trust is {self.trust}, expected a number above 0")

    def build(self, groups: Groups) -> torch.optim.Optimizer:
        """Return LARS of these parameter groups."""
        return lars.LARS(groups, self.lr, self.momentum, self.weight_decay, self.trust)


def _check_fraction(name: str, value: float) -> None:
    if not 0 <= value < 1:
        raise ValueError(f"{name} is {value}, expected a number in [0, 1)")


def _check_adam(betas: tuple[float, float], eps: float) -> None:
    for beta in betas:
        _check_fraction("betas", beta)
    if not eps > 0:
        raise ValueError(f"eps is {eps}, expected a number above 0")
