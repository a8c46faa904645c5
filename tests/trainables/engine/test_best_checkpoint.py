"""The best epoch's weights, by a monitored metric."""

import pytest
import torch
from torch import nn

from trainables.engine.best_checkpoint import BestCheckpoint


def updated(best: BestCheckpoint, values: list[float | None]) -> list[bool]:
    """Update with one epoch after the other, whose weight is its number, and return which were copied."""
    module, history, copied = nn.Linear(1, 1, bias=False), [], []
    for epoch, value in enumerate(values, 1):
        nn.init.constant_(module.weight, epoch)
        history.append({} if value is None else {"val/dice": value})
        copied.append(best.update(module, epoch, history))
    return copied


@pytest.mark.parametrize(
    ("higher", "values", "copied", "epoch"),
    [
        (True, [0.5, 0.7, 0.6, 0.7], [True, True, False, False], 2),
        (False, [0.5, 0.7, 0.4], [True, False, True], 3),
        (True, [None, 0.2, None, 0.3], [False, True, False, True], 4),
    ],
)
def test_the_first_of_the_best_epochs_is_kept(higher, values, copied, epoch):
    best = BestCheckpoint("dice", higher_is_better=higher)
    assert updated(best, values) == copied
    assert best.epoch == epoch
    assert best.weights is not None
    assert float(best.weights["weight"]) == epoch


def test_without_a_monitored_metric_no_epoch_is_kept():
    best = BestCheckpoint(None, higher_is_better=True)
    assert updated(best, [0.5, 0.7]) == [False, False]
    assert (best.epoch, best.weights) == (0, None)
    assert best.monitored([{"val/loss": 2.0}, {}, {"val/loss": 1.0}]) == [-2.0, -1.0]


def test_a_restored_checkpoint_continues_with_the_history():
    first, second = (BestCheckpoint("dice", higher_is_better=True) for _ in range(2))
    updated(first, [0.5, 0.7])
    second.restore(first.state())
    module = nn.Linear(1, 1, bias=False)
    assert not second.update(module, 3, [{"val/dice": value} for value in (0.5, 0.7, 0.6)])
    assert second.epoch == 2
    assert torch.equal(second.weights["weight"], first.weights["weight"])
