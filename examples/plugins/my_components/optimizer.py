"""RAdam (Liu et al. 2020), as torch implements it."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from trainables.engine.optim import OPTIMIZERS
from trainables.engine.optim.optimizers import Groups, Optimizer


@dataclass(frozen=True, kw_only=True)
class RAdam(Optimizer):
    """Adam with a rectified variance.

    Attributes:
        betas: decay rates of the running means of the gradient and of its square, each in [0, 1).
    """

    betas: tuple[float, float] = (0.9, 0.999)

    def build(self, groups: Groups) -> torch.optim.Optimizer:
        """Return the optimizer."""
        return torch.optim.RAdam(groups, lr=self.lr, betas=self.betas, weight_decay=self.weight_decay)


OPTIMIZERS.add("radam", RAdam)
