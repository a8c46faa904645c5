from dataclasses import replace

import numpy as np

from trainables.registration.pairs import all_pairs, labelled_ends, one_pair_per_sequence


def by_loops(store, split: int) -> set[tuple[int, int]]:
    index = store.index
    return {
        (i, j)
        for i in range(len(store))
        for j in range(len(store))
        if i != j and index["split"][i] == split == index["split"][j] and index["sequence"][i] == index["sequence"][j]
    }


def test_every_pair_is_every_ordered_pair_of_a_sequence(sequences):
    for number, split in enumerate(("train", "val", "test")):
        pairs = all_pairs(sequences, split)
        assert len(pairs) == len({tuple(pair) for pair in pairs.tolist()})
        assert {tuple(pair) for pair in pairs.tolist()} == by_loops(sequences, number)


def test_one_pair_of_each_sequence_an_epoch_and_all_in_the_end(sequences):
    choose = one_pair_per_sequence(sequences, "train", seed=1)
    allowed = by_loops(sequences, 0)
    seen = set()
    for epoch in range(300):
        pairs = choose(epoch)
        assert sorted(sequences.index["sequence"][pairs[:, 0]]) == [0, 3]  # sequence 6 has a single frame
        seen |= {tuple(pair) for pair in pairs.tolist()}
    assert seen == allowed
    np.testing.assert_array_equal(choose(5), choose(5))


def test_labelled_ends_are_systole_and_diastole(sequences):
    phases = sequences.index["phase"][labelled_ends(sequences, "val")]
    assert phases.tolist() == [[2, 1]] * 3
    assert len(labelled_ends(sequences, "train")) == 2


def test_slices_of_a_volume_are_not_paired(sequences):
    volumes = replace(sequences, index=sequences.index.copy())
    volumes.index["stack"] = 1
    assert all_pairs(volumes, "train").shape == (0, 2)
    assert labelled_ends(volumes, "val").shape == (0, 2)
    assert one_pair_per_sequence(volumes, "train", seed=0)(0).shape == (0, 2)
