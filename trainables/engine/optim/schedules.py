"""Learning-rate schedules: a factor for each step, computed from the step and the past alone.

A schedule keeps no state, so a resumed run follows exactly the rates of one that was never stopped.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, kw_only=True)
class Schedule(ABC):
    """The learning rate over a run, as a factor of the optimizer's.

    Attributes:
        warmup_epochs: over which the factor grows linearly from 0, at least 0; what comes after is the schedule's own,
            stretched over the steps that are left.
    """

    follows_metric: ClassVar[bool] = False
    """Whether the factor depends on the evaluations so far."""

    warmup_epochs: float = 0.0

    def __post_init__(self) -> None:
        if not self.warmup_epochs >= 0:
            raise ValueError(f"warmup_epochs is {self.warmup_epochs}, expected at least 0")

    def factor(self, step: int, steps: int, steps_per_epoch: int, monitored: Sequence[float]) -> float:
        """What to multiply the learning rate with in one step.

        Args:
            step: optimizer steps done so far, in [0, steps).
            steps: of the whole run.
            steps_per_epoch: logical batches in an epoch.
            monitored: the monitored metric, or the validation loss negated, of each evaluated epoch so far; higher is
                better.
        """
        warmup = min(round(self.warmup_epochs * steps_per_epoch), steps)
        if step < warmup:
            return (step + 1) / warmup
        return self.after_warmup((step - warmup) / max(1, steps - warmup), monitored)

    @abstractmethod
    def after_warmup(self, progress: float, monitored: Sequence[float]) -> float:
        """The factor once `progress`, in [0, 1), of the steps after the warm-up are done."""


@dataclass(frozen=True, kw_only=True)
class Constant(Schedule):
    """The optimizer's rate throughout."""

    def after_warmup(self, progress: float, monitored: Sequence[float]) -> float:
        """1."""
        return 1.0


@dataclass(frozen=True, kw_only=True)
class Cosine(Schedule):
    """Half a cosine from 1 down to a floor, without restarts (Loshchilov and Hutter 2017).

    Attributes:
        floor: the factor that the end approaches, in [0, 1].
    """

    floor: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_floor(self.floor)

    def after_warmup(self, progress: float, monitored: Sequence[float]) -> float:
        """Floor + (1 - floor) (1 + cos(pi progress)) / 2."""
        return self.floor + (1 - self.floor) * (1 + math.cos(math.pi * progress)) / 2


@dataclass(frozen=True, kw_only=True)
class Polynomial(Schedule):
    """(1 - progress) to a power, as DeepLab and nnU-Net decay it.

    Attributes:
        power: above 0; 1 is a straight line.
    """

    power: float = 0.9

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.power > 0:
            raise ValueError(f"power is {self.power}, expected a number above 0")

    def after_warmup(self, progress: float, monitored: Sequence[float]) -> float:
        """(1 - progress)^power."""
        return float((1 - progress) ** self.power)


@dataclass(frozen=True, kw_only=True)
class Plateau(Schedule):
    """Lower the rate each time the monitored metric has stopped improving.

    Attributes:
        decay: multiplies the rate at each plateau, in (0, 1).
        patience: evaluations without an improvement that are borne; the next one lowers the rate. At least 0.
        threshold: what counts as an improvement over the best so far, in the metric's own units; at least 0.
        floor: the factor is never lower than this, in [0, 1].
    """

    follows_metric = True

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
        """`decay` to the number of plateaus in `monitored`."""
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
