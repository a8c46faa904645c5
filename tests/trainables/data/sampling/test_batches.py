import numpy as np
import pytest
from toys import toy_store

from trainables.common.errors import UserError
from trainables.data.sampling.batches import Batches, shared_batch

STORE = toy_store(24)


def rows_of(batches, epochs):
    return [[batch.rows.tolist() for batch in batches.epoch(epoch)] for epoch in range(epochs)]


@pytest.mark.parametrize("steps", [1, 2, 3, 5, 7])
def test_an_epoch_of_given_steps_continues_through_shuffled_passes(steps):
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


def test_workers_have_equal_shares_of_a_set_smaller_than_one_batch():
    size = shared_batch(7, 16, 3)
    batches = [Batches(STORE, np.arange(7), size, keep_tail=False).epoch(0, rank, 3) for rank in range(3)]
    assert [[len(batch.images) for batch in each] for each in batches] == [[2], [2], [2]]
    assert shared_batch(7, 16, 1) == 7
    assert shared_batch(40, 16, 3) == 16
    with pytest.raises(UserError, match=r"too few training images \(found 2 for 3 workers\)"):
        shared_batch(2, 16, 3)


def test_workers_have_equal_shares_of_every_batch_without_a_tail():
    shards = [[], [], []]
    for rank, rows in enumerate(shards):
        batches = Batches(STORE, np.arange(20), 8, keep_tail=False)
        rows += [batch.rows.tolist() for batch in batches.epoch(0, rank, 3)]
    assert [len(rows) for rows in shards[0]] == [2, 2]
    for parts in zip(*shards, strict=True):
        assert len({len(part) for part in parts}) == 1
        assert len({row for part in parts for row in part}) == 3 * len(parts[0])
    few = Batches(STORE, np.arange(2), 8, keep_tail=False)
    with pytest.raises(UserError, match=r"too few training images \(found 2 for 3 workers\)"):
        next(few.epoch(0, 0, 3))


def test_one_training_image_is_a_batch_of_two_for_batch_norm():
    store = toy_store(1)
    batches = Batches(store, np.array([0]), batch_size=8, steps=3)
    assert [batch.rows.tolist() for batch in batches.epoch(0)] == [[0, 0]] * 3
    assert [batch.rows.tolist() for batch in Batches(store, np.array([0]), 8, shuffle=False).epoch(0)] == [[0]]
