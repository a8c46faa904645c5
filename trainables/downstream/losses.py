"""Losses of a segmentation: class scores against class indices."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Loss(ABC):
    """Settings of a loss, which is called with logits and classes."""

    @property
    def by_image(self) -> bool:
        """True where the loss of a batch is the mean of its images' losses."""
        return True

    def __call__(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the scalar loss of logits `(B, K, H, W)` and class indices `(B, H, W)`, in float32 or wider."""
        wide = logits if logits.dtype == torch.float64 else logits.float()
        with torch.autocast(logits.device.type, enabled=False):
            return self.value(wide, target)

    @abstractmethod
    def value(self, logits: Tensor, target: Tensor) -> Tensor:
        """Compute the loss in the logits' precision."""


@dataclass(frozen=True)
class CrossEntropy(Loss):
    """Mean cross-entropy over the pixels."""

    def value(self, logits: Tensor, target: Tensor) -> Tensor:
        """Cross-entropy, the mean of -log softmax(logits)[target]."""
        return F.cross_entropy(logits, target)


@dataclass(frozen=True)
class Dice(Loss):
    """One minus the soft Dice coefficient of each foreground class, averaged.

    Attributes:
        smooth: constant added to numerator and denominator, so that a class absent from both masks costs nothing, and
            one absent from the truth costs more the more of it is predicted; at least 0. With 0, an image without the
            class costs 1 whatever is predicted, and teaches nothing.
        batch: True to pool the batch as one image; False to average over images.
    """

    smooth: float = 1.0
    batch: bool = False

    def __post_init__(self) -> None:
        if not self.smooth >= 0:
            raise ValueError(f"smooth is {self.smooth}, expected at least 0")

    @property
    def by_image(self) -> bool:
        """True unless the batch is pooled."""
        return not self.batch

    def value(self, logits: Tensor, target: Tensor) -> Tensor:
        """1 - mean of (2 sum(p t) + s) / (sum(p) + sum(t) + s) over foreground classes and images."""
        probability = logits.softmax(1)[:, 1:]
        truth = F.one_hot(target, logits.shape[1]).movedim(-1, 1)[:, 1:].to(probability.dtype)
        axes = (0, 2, 3) if self.batch else (2, 3)
        overlap = (probability * truth).sum(axes)
        sizes = probability.sum(axes) + truth.sum(axes)
        return 1 - ((2 * overlap + self.smooth) / (sizes + self.smooth).clamp_min(1e-12)).mean()


@dataclass(frozen=True)
class DiceCrossEntropy(Loss):
    """A weighted sum of both.

    Attributes:
        dice_weight: weight of the Dice loss, at least 0.
        cross_entropy_weight: weight of the cross-entropy, at least 0.
        smooth: smoothing constant of the Dice loss.
        batch: True to pool the Dice loss over the batch.
    """

    dice_weight: float = 1.0
    cross_entropy_weight: float = 1.0
    smooth: float = 1.0
    batch: bool = False

    def __post_init__(self) -> None:
        for name in ("dice_weight", "cross_entropy_weight", "smooth"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} is {getattr(self, name)}, expected at least 0")

    @property
    def by_image(self) -> bool:
        """True unless the batch is pooled."""
        return not self.batch

    def value(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the weighted sum of both losses."""
        dice = Dice(self.smooth, self.batch).value(logits, target)
        return self.dice_weight * dice + self.cross_entropy_weight * CrossEntropy().value(logits, target)
