"""Learning-rate schedules: a factor for each step, computed from the step and the metrics so far.

A schedule has no state, so a resumed run uses exactly the learning rates of an uninterrupted one.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from trainables.common.added import ADDED


@dataclass(frozen=True, kw_only=True)
class Schedule(ABC):
    """Learning rate during a run, as a factor of the optimizer's learning rate.

    Attributes:
        warmup_epochs: epochs of linear warm-up from 0, at least 0; 0 by default. The schedule covers the steps after.
    """

    follows_metric: ClassVar[bool] = False
    """True if the factor depends on the evaluations so far."""

    monitor: ClassVar[str] = "metric"
    """Quantity that such a schedule follows, as in `Plateau`; a class with the choice has it as a field."""

    warmup_epochs: float = 0.0

    def __post_init__(self) -> None:
        if not self.warmup_epochs >= 0:
            raise ValueError(f"warmup_epochs is {self.warmup_epochs}, expected at least 0")

    def factor(self, step: int, steps: int, steps_per_epoch: int, monitored: Sequence[float]) -> float:
        """Return the factor of the learning rate in one step.

        Args:
            step: number of optimizer steps so far, in [0, steps).
            steps: number of optimizer steps in the run.
            steps_per_epoch: logical batches in an epoch.
            monitored: followed quantity of each evaluated epoch so far, a loss negated; higher is better.
        """
        warmup = min(round(self.warmup_epochs * steps_per_epoch), steps)
        if step < warmup:
            return (step + 1) / warmup
        return self.after_warmup((step - warmup) / max(1, steps - warmup), monitored)

    @abstractmethod
    def after_warmup(self, progress: float, monitored: Sequence[float]) -> float:
        """Return the factor after the fraction `progress`, in [0, 1), of the steps that follow the warm-up."""


@dataclass(frozen=True, kw_only=True)
class Constant(Schedule):
    """Constant learning rate, equal to the optimizer's."""

    def after_warmup(self, progress: float, monitored: Sequence[float]) -> float:
        """Return the constant factor 1."""
        return 1.0


@dataclass(frozen=True, kw_only=True)
class Cosine(Schedule):
    """Half a cosine from 1 down to a floor, without restarts (Loshchilov and Hutter 2017).

    Attributes:
        floor: factor at the end of the run, in [0, 1]; 0 by default.

    Example:
        >>> Cosine().factor(step=50, steps=100, steps_per_epoch=10, monitored=[])
        0.5
    """

    floor: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_floor(self.floor)

    def after_warmup(self, progress: float, monitored: Sequence[float]) -> float:
        """Return floor + (1 - floor) (1 + cos(pi progress)) / 2."""
        return self.floor + (1 - self.floor) * (1 + math.cos(math.pi * progress)) / 2


@dataclass(frozen=True, kw_only=True)
class Polynomial(Schedule):
    """Polynomial decay (1 - progress)^power, as DeepLab and nnU-Net use it.

    Attributes:
        power: exponent, above 0; 1 is linear decay.
    """

    power: float = 0.9

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.power > 0:
            raise ValueError(f"power is {self.power}, expected a number above 0")

    def after_warmup(self, progress: float, monitored: Sequence[float]) -> float:
        """Return the factor (1 - progress)^power."""
        return float((1 - progress) ** self.power)


@dataclass(frozen=True, kw_only=True)
class Plateau(Schedule):
    """Reduction of the learning rate each time the followed quantity has stopped improving.

    Attributes:
        monitor: "metric" follows the metric that selects the best epoch, Dice in segmentation, or the validation loss
            of a task without one; "loss" follows the validation loss in every task, as Umapathy et al. (2022).
        decay: factor of the learning rate at each plateau, in (0, 1).
        patience: evaluations without improvement before the next such evaluation lowers the rate; at least 0.
        threshold: least improvement over the best value so far, in the metric's units; at least 0.
        floor: lower bound of the factor, in [0, 1]; 0 by default.
    """

    follows_metric = True

    monitor: Literal["metric", "loss"] = field(default="metric", metadata=ADDED)  # type: ignore[misc]  # ClassVar of the base
    decay: float = 0.5
    patience: int = 10
    threshold: float = 0.0
    floor: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.decay < 1:
            raise ValueError(f"decay is {self.decay}, expected a number in (0, 1)")
        if self.patience < 0:
            raise ValueError(f"patience is {self.patience}, expected at least 0")
        if not self.threshold >= 0:
            raise ValueError(f"threshold is {self.threshold}, expected at least 0")
        _check_floor(self.floor)

    def after_warmup(self, progress: float, monitored: Sequence[float]) -> float:
        """Return `decay` to the power of the number of plateaus in `monitored`, at least `floor`."""
        best, waited, plateaus = -math.inf, 0, 0
        for value in monitored:
            if value > best + self.threshold:
                best, waited = value, 0
            else:
                waited += 1
            if waited > self.patience:
                plateaus, waited = plateaus + 1, 0
        return max(self.floor, self.decay**plateaus)


def _check_floor(floor: float) -> None:
    if not 0 <= floor <= 1:
        raise ValueError(f"floor is {floor}, expected a number in [0, 1]")
