"""Focal loss (Lin et al. 2017, equation 4)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from trainables.downstream import LOSSES
from trainables.downstream.losses import Loss


@dataclass(frozen=True)
class Focal(Loss):
    """Cross-entropy in which pixels that are already right weigh less.

    Attributes:
        gamma: exponent of the weight, from 0 up; 0 is cross-entropy.
    """

    gamma: float = 2.0

    def __post_init__(self) -> None:
        if self.gamma < 0:
            raise ValueError(f"gamma is {self.gamma}, expected at least 0")

    def value(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the mean of -(1 - p)^gamma log p over pixels, p being the probability of the true class."""
        log_p = F.log_softmax(logits, 1).gather(1, target[:, None])[:, 0]
        return -((1 - log_p.exp()) ** self.gamma * log_p).mean()


LOSSES.add("focal", Focal)
