import numpy as np
import pytest
from toys import toy_store

from trainables.data.batches import Batches

STORE = toy_store(24)


def rows_of(batches, epochs):
    return [[batch.rows.tolist() for batch in batches.epoch(epoch)] for epoch in range(epochs)]


@pytest.mark.parametrize("steps", [1, 2, 3, 5, 7])
def test_an_epoch_of_given_steps_goes_on_through_shuffled_passes(steps):
    rows = np.arange(9)
    passes = Batches(STORE, rows, 4, seed=1)
    stream = [batch for epoch in rows_of(passes, 20) for batch in epoch]
    epochs = rows_of(Batches(STORE, rows, 4, seed=1, steps=steps), 5)
    assert [len(epoch) for epoch in epochs] == [steps] * 5
    assert [batch for epoch in epochs for batch in epoch] == stream[: 5 * steps]
    assert len(Batches(STORE, rows, 4, steps=steps)) == steps


def test_an_epoch_can_be_longer_than_many_passes():
    few = Batches(STORE, np.arange(3), 8, steps=10)
    assert [sorted(batch.rows.tolist()) for batch in few.epoch(0)] == [[0, 1, 2]] * 10
