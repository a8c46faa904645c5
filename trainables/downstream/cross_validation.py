"""Cross-validation that resumes after the last finished fold."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from torch import Tensor

from trainables.common.seeds import derive
from trainables.downstream.data import Fold
from trainables.downstream.folds import FoldCheckpoint, weights_of
from trainables.downstream.segmentation import Segmentation
from trainables.engine.runtime import Runtime
from trainables.engine.settings import FitResult

TrainFold = Callable[[Fold, Runtime, int], tuple[Segmentation, FitResult]]
"""Trains a fold with a runtime and a seed; returns the trained task and its result."""

RestoreFold = Callable[[Mapping[str, Tensor]], Segmentation]
"""Returns the task of a finished fold from its weights."""


def cross_validate(
    folds: Sequence[Fold], epochs: int, train: TrainFold, restore: RestoreFold, runtime: Runtime, seed: int
) -> tuple[list[Segmentation], FitResult]:
    """Train a network for each fold and checkpoint every finished one.

    Args:
        folds: train and val subjects of each fold.
        epochs: number of epochs of each fold.
        train: function that trains one fold.
        restore: function that rebuilds a finished fold's task from its checkpointed weights.
        runtime: runtime of all folds together.
        seed: seed from which each fold's seed is derived.

    Returns:
        The trained tasks, one per fold, and the result with their joined history and mean metrics.
    """
    checkpoint, tasks = FoldCheckpoint(runtime), []
    for number, fold in enumerate(folds):
        if number < len(checkpoint.finished):
            tasks.append(restore(checkpoint.finished[number]["weights"]))
            continue
        task, fitted = train(fold, checkpoint.runtime_of(number, epochs), derive(seed, "fold", number))
        checkpoint.finish(weights_of(task.network), fitted)
        tasks.append(task)
    return tasks, checkpoint.fitted
