"""Exponential decay of the learning rate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trainables.engine.optim import SCHEDULES
from trainables.engine.optim.schedules import Schedule


@dataclass(frozen=True, kw_only=True)
class Exponential(Schedule):
    """Factor that falls from 1 to `last`, by an equal share in each step.

    Attributes:
        last: factor at the end of the run, in (0, 1].
    """

    last: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.last <= 1:
            raise ValueError(f"last is {self.last}, expected a number in (0, 1]")

    def after_warmup(self, progress: float, monitored: Sequence[float]) -> float:
        """Return last^progress."""
        return float(self.last**progress)


SCHEDULES.add("exponential", Exponential)
