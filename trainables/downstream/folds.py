"""Cross-validation: several trainings that follow each other, each judged on another part of the subjects."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from trainables.common.seeds import numpy_generator
from trainables.engine.runtime import Runtime
from trainables.engine.settings import FitResult


def divided_subjects(subjects: np.ndarray, folds: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """(train, val) subjects of each fold, sorted; every subject is in one fold's val.

    Args:
        subjects: at least as many as folds.
        folds: from 2 up.
        seed: names the division.
    """
    order = numpy_generator(seed, "folds").permutation(np.unique(subjects))
    parts = [np.sort(order[number::folds]) for number in range(folds)]
    return [(np.sort(np.setdiff1d(order, part)), part) for part in parts]


class FoldCheckpoint:
    """Keeps what trainings that follow each other have come to, in one checkpoint, so that each is done once.

    Args:
        runtime: of them all.
    """

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        kept = runtime.load() or {}
        self.finished: list[dict[str, Any]] = kept.get("finished", [])

    def runtime_of(self, number: int, epochs: int) -> Runtime:
        """For the training with this number, which has so many epochs as the others."""
        return FoldRuntime(self.runtime, self.finished, number * epochs)

    def finish(self, weights: Mapping[str, Tensor], fitted: FitResult) -> None:
        """Take a training's result."""
        result = {"metrics": fitted.metrics, "epoch": fitted.epoch, "history": fitted.history}
        self.finished.append({"weights": dict(weights), **result})
        self.runtime.save(lambda: {"finished": self.finished, "current": None}, force=True)

    @property
    def fitted(self) -> FitResult:
        """All trainings as one: their epochs in a row, and the mean of their kept metrics."""
        names = [name for name in self.finished[0]["metrics"] if all(name in each["metrics"] for each in self.finished)]
        means = {name: float(np.mean([each["metrics"][name] for each in self.finished])) for name in names}
        history = [row for each in self.finished for row in each["history"]]
        return FitResult(means, len(history), history)


class FoldRuntime:
    """The runtime of one of several trainings."""

    def __init__(self, runtime: Runtime, finished: Sequence[Mapping[str, Any]], before: int) -> None:
        self.rank, self.world_size, self.device = runtime.rank, runtime.world_size, runtime.device
        self._runtime, self._finished, self._before = runtime, finished, before

    def wrap(self, module: nn.Module) -> nn.Module:
        """As the whole's."""
        return self._runtime.wrap(module)

    def mean(self, values: Tensor) -> Tensor:
        """As the whole's."""
        return self._runtime.mean(values)

    def load(self) -> dict[str, Any] | None:
        """The state that this training was left in, if it was begun."""
        kept = self._runtime.load()
        if kept is None or len(kept["finished"]) != len(self._finished):
            return None
        current: dict[str, Any] | None = kept["current"]
        return current

    def save(self, state: Callable[[], dict[str, Any]], *, force: bool = False) -> None:
        """Keep it with what the trainings before it have come to."""
        self._runtime.save(lambda: {"finished": list(self._finished), "current": state()}, force=force)

    def flush(self) -> None:
        """As the whole's."""
        self._runtime.flush()

    def report(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Counting the epochs of the trainings before it."""
        self._runtime.report(self._before + epoch, metrics)


def weights_of(module: nn.Module) -> dict[str, Tensor]:
    """A module's state on the CPU, of its own."""
    with torch.no_grad():
        return {name: value.detach().cpu().clone() for name, value in module.state_dict().items()}
