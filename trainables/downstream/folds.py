"""Cross-validation: subjects of each fold, and a checkpoint of the finished folds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from trainables.common.seeds import numpy_generator
from trainables.engine.runtime import Runtime
from trainables.engine.settings import FitResult
from trainables.networks.lora import merged_weights


def split_folds(subjects: np.ndarray, folds: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the sorted (train, val) subjects of each fold; every subject is in exactly one val.

    Args:
        subjects: int64 `(N,)` indices of subjects, at least as many as folds.
        folds: number of folds, at least 2.
        seed: seed of the random permutation of subjects.
    """
    order = numpy_generator(seed, "folds").permutation(np.unique(subjects))
    parts = [np.sort(order[number::folds]) for number in range(folds)]
    return [(np.sort(np.setdiff1d(order, part)), part) for part in parts]


class FoldCheckpoint:
    """Checkpoint of finished cross-validation folds and of the fold in progress.

    Args:
        runtime: runtime of the complete cross-validation, which stores the checkpoint.
    """

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        kept = runtime.load() or {}
        self.finished: list[dict[str, Any]] = kept.get("finished", [])

    def runtime_of(self, number: int, epochs: int) -> Runtime:
        """Return the runtime of fold `number`, counted from 0, where every fold trains for `epochs` epochs."""
        return FoldRuntime(self.runtime, self.finished, number * epochs)

    def finish(self, weights: Mapping[str, Tensor], fitted: FitResult) -> None:
        """Record a finished fold and save the checkpoint."""
        result = {"metrics": fitted.metrics, "epoch": fitted.epoch, "history": fitted.history}
        self.finished.append({"weights": dict(weights), **result})
        self.runtime.save(lambda: {"finished": self.finished, "current": None}, force=True)

    @property
    def fitted(self) -> FitResult:
        """Joined history of all folds, with the mean of the metrics that all folds have."""
        names = [name for name in self.finished[0]["metrics"] if all(name in each["metrics"] for each in self.finished)]
        means = {name: float(np.mean([each["metrics"][name] for each in self.finished])) for name in names}
        history = [row for each in self.finished for row in each["history"]]
        return FitResult(means, len(history), history)


class FoldRuntime:
    """Runtime of a single fold within a cross-validation."""

    def __init__(self, runtime: Runtime, finished: Sequence[Mapping[str, Any]], before: int) -> None:
        self.rank, self.world_size, self.device = runtime.rank, runtime.world_size, runtime.device
        self._runtime, self._finished, self._before = runtime, finished, before

    def wrap(self, module: nn.Module) -> nn.Module:
        """Wrap the module for distributed training."""
        return self._runtime.wrap(module)

    def mean(self, values: Tensor) -> Tensor:
        """Return the mean over all workers."""
        return self._runtime.mean(values)

    def broadcast(self, values: Tensor) -> Tensor:
        """Return the values of rank 0."""
        return self._runtime.broadcast(values)

    def load(self) -> dict[str, Any] | None:
        """Return the fold's last saved state, or None if it has not begun."""
        kept = self._runtime.load()
        if kept is None or len(kept["finished"]) != len(self._finished):
            return None
        current: dict[str, Any] | None = kept["current"]
        return current

    def save(self, state: Callable[[], dict[str, Any]], *, force: bool = False) -> None:
        """Save the fold's state together with the finished folds."""
        self._runtime.save(lambda: {"finished": list(self._finished), "current": state()}, force=force)

    def flush(self) -> None:
        """Wait until pending checkpoints are written."""
        self._runtime.flush()

    def report(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Report metrics under the epoch's number over all folds."""
        self._runtime.report(self._before + epoch, metrics)


def weights_of(module: nn.Module) -> dict[str, Tensor]:
    """Return a copy of a module's state dict on the CPU, with adapters merged into the weights."""
    with torch.no_grad():
        return {name: value.detach().cpu().clone() for name, value in merged_weights(module).items()}
