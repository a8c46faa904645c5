import numpy as np
from toys import sequence_store

from trainables.data.sampling.sequences import ends, half_cycles, sequences


def test_frames_come_by_sequence_in_order_and_slices_are_none():
    store = sequence_store([""] * 6, 3, sequence=[1, 1, 1, 0, 0, 0])
    assert [list(rows) for rows in sequences(store, np.array([0, 2, 3, 5]))] == [[3, 5], [0, 2]]
    stacked = sequence_store([""] * 6, 3, stack=[1, 1, 1, 0, 0, 0])
    assert [list(rows) for rows in sequences(stacked, np.arange(6))] == [[3, 4, 5]]
    assert sequences(store, np.zeros(0, np.int64)) == []


def test_a_half_cycle_runs_between_its_labelled_ends_whichever_comes_first():
    store = sequence_store(["", "ED", "", "ES", "", "ES", "", "", "ED", "", "ED", "", "", "", ""], 5)
    assert [list(rows) for rows in half_cycles(store, "train")] == [[1, 2, 3], [5, 6, 7, 8]]
    assert ends(store, np.arange(5, 10)) == (8, 5)
    assert ends(store, np.arange(10, 15)) is None
    assert [list(rows) for rows in half_cycles(store, "train", subjects=np.array([1]))] == [[5, 6, 7, 8]]
    assert half_cycles(store, "test") == []
