"""Weights of the best epoch so far, by the task's monitored metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn


class BestCheckpoint:
    """Copy of the weights of the epoch with the best monitored metric.

    Args:
        monitor: name of the evaluation metric without `val/`; None selects no epoch.
        higher_is_better: True if the largest value is best, False if the smallest is.

    Attributes:
        epoch: number of the best epoch, counted from 1; 0 before the first evaluation.
        weights: state of the module after that epoch, on the CPU; None before the first evaluation.

    Example:
        >>> layer, best = nn.Linear(2, 1), BestCheckpoint("dice", higher_is_better=True)
        >>> best.update(layer, 1, [{"val/dice": 0.7}])
        True
        >>> best.update(layer, 2, [{"val/dice": 0.7}, {"val/dice": 0.6}])
        False
        >>> best.epoch
        1
    """

    def __init__(self, monitor: str | None, *, higher_is_better: bool) -> None:
        self._monitor, self._higher_is_better = monitor, higher_is_better
        self.epoch = 0
        self.weights: dict[str, Tensor] | None = None

    def monitored(self, history: Sequence[Mapping[str, float]], quantity: str = "metric") -> list[float]:
        """Return the monitored metric of each evaluated epoch, negated where lower is better.

        Without a monitored metric these are the negated validation losses, as they are for the quantity "loss".
        """
        metric = self._monitor if quantity == "metric" else None
        sign = 1.0 if metric is not None and self._higher_is_better else -1.0
        key = f"val/{metric or 'loss'}"
        return [sign * row[key] for row in history if key in row]

    def update(self, module: nn.Module, epoch: int, history: Sequence[Mapping[str, float]]) -> bool:
        """Copy the module's weights if the last epoch of `history` is the best, and return True if they were copied.

        Args:
            module: networks with the weights of that epoch.
            epoch: number of the epoch, counted from 1.
            history: metrics of each epoch so far.
        """
        if self._monitor is None or f"val/{self._monitor}" not in history[-1]:
            return False
        values = self.monitored(history)
        if len(values) > 1 and not values[-1] > max(values[:-1]):
            return False
        self.epoch = epoch
        self.weights = {name: value.detach().cpu().clone() for name, value in module.state_dict().items()}
        return True

    def state(self) -> dict[str, Any]:
        """Return the best epoch and its weights for a checkpoint."""
        return {"best_epoch": self.epoch, "best_state": self.weights}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore the best epoch and its weights from a checkpoint that contains `state()`."""
        self.epoch, self.weights = state["best_epoch"], state["best_state"]
