from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from trainables.downstream.cross_validation import cross_validate
from trainables.downstream.data import Fold
from trainables.engine.runtime import LocalRuntime
from trainables.engine.settings import FitResult

FOLDS = [Fold(np.array([n]), np.array([9])) for n in range(3)]


def train(fold, runtime, seed):
    network = nn.Linear(1, 1, bias=False)
    nn.init.constant_(network.weight, float(fold.train[0]))
    return SimpleNamespace(network=network), FitResult({"val/dice": float(fold.train[0])}, 1, [{"loss": 1.0}])


def restore(weights):
    return SimpleNamespace(restored=weights["weight"].item())


def test_each_fold_is_trained_and_metrics_are_averaged():
    tasks, fitted = cross_validate(FOLDS, 1, train, restore, LocalRuntime(), seed=0)
    assert [task.network.weight.item() for task in tasks] == [0.0, 1.0, 2.0]
    assert fitted.metrics == {"val/dice": 1.0}
    assert len(fitted.history) == 3


def test_finished_folds_are_restored_and_not_trained_again(tmp_path: Path):
    def fail_in_last(fold, runtime, seed):
        if fold.train[0] == 2:
            raise KeyboardInterrupt
        return train(fold, runtime, seed)

    interrupted = LocalRuntime(tmp_path, save_every=0)
    with pytest.raises(KeyboardInterrupt):
        cross_validate(FOLDS, 1, fail_in_last, restore, interrupted, seed=0)
    interrupted.flush()
    tasks, fitted = cross_validate(FOLDS, 1, train, restore, LocalRuntime(tmp_path, save_every=0), seed=0)
    assert [task.restored for task in tasks[:2]] == [0.0, 1.0]
    assert torch.equal(tasks[2].network.weight.detach(), torch.full((1, 1), 2.0))
    assert fitted.metrics == {"val/dice": 1.0}
