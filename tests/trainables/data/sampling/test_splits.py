import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainables.data.sampling.splits import label_subset, split_subjects

names = st.sets(st.text(min_size=1, max_size=6), min_size=3, max_size=40)


@given(names, st.integers(0, 1000))
def test_every_part_gets_a_subject_and_every_subject_a_part(subjects, seed):
    parts = split_subjects(sorted(subjects), (0.8, 0.1, 0.1), seed)
    assert set(parts) == subjects
    assert set(parts.values()) == {"train", "val", "test"}


@given(names, st.integers(0, 1000), st.randoms())
def test_the_split_does_not_depend_on_the_order_of_the_subjects(subjects, seed, random):
    ordered = sorted(subjects)
    shuffled = random.sample(ordered, len(ordered))
    assert split_subjects(ordered, (0.5, 0.25, 0.25), seed) == split_subjects(shuffled, (0.5, 0.25, 0.25), seed)


def test_splits_have_the_given_fractions():
    parts = list(split_subjects([f"s{n}" for n in range(200)], (0.7, 0.1, 0.2), 0).values())
    assert (parts.count("train"), parts.count("val"), parts.count("test")) == (140, 20, 40)
    assert set(split_subjects(["a", "b", "c", "d"], (1.0, 0.0, 1.0), 0).values()) == {"train", "test"}


def test_another_seed_is_another_split():
    subjects = [f"s{n}" for n in range(50)]
    assert split_subjects(subjects, (1, 1, 1), 0) != split_subjects(subjects, (1, 1, 1), 1)


@given(
    st.sets(st.integers(0, 10_000), min_size=1, max_size=60),
    st.floats(0.01, 1),
    st.floats(0.01, 1),
    st.integers(0, 1000),
)
def test_smaller_label_subsets_lie_inside_larger_ones(subjects, one, other, seed):
    pool = np.array(sorted(subjects))
    small, large = (set(label_subset(pool, share, None, seed)) for share in sorted((one, other)))
    assert small <= large <= subjects
    assert len(small) == max(1, int(min(one, other) * len(pool) + 0.5))


@given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 1000))
def test_counts_nest_with_fractions(few, many, seed):
    pool = np.arange(30)
    few, many = sorted((few, many))
    assert set(label_subset(pool, None, few, seed)) <= set(label_subset(pool, many / 30, None, seed))


def test_subsets_differ_between_seeds_and_take_subjects_with_many_frames_once():
    pool = np.repeat(np.arange(40), 3)
    chosen = [tuple(label_subset(pool, 0.25, None, seed)) for seed in range(5)]
    assert len(set(chosen)) == 5
    assert all(len(subset) == 10 == len(set(subset)) for subset in chosen)


@pytest.mark.parametrize(("fraction", "count"), [(None, None), (0.5, 3), (0.0, None), (1.5, None), (None, 0)])
def test_requests_that_make_no_sense_are_refused(fraction, count):
    with pytest.raises(ValueError, match="label"):
        label_subset(np.arange(5), fraction, count, 0)
