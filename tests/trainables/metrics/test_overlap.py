import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trainables.metrics.overlap import dice, histograms, pooled_dice, subject_means


def by_sets(predicted: np.ndarray, truth: np.ndarray, label: int, empty: float) -> float:
    p = {tuple(i) for i in np.argwhere(predicted == label)}
    t = {tuple(i) for i in np.argwhere(truth == label)}
    return 2 * len(p & t) / (len(p) + len(t)) if p or t else empty


@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 2, 4]))
def test_dice_is_that_of_sets(seed, top):
    noise = np.random.default_rng(seed)
    predicted, truth = noise.integers(0, top + 1, (2, 3, 4, 5))
    scores = dice(torch.from_numpy(predicted), torch.from_numpy(truth), classes=5)
    for image in range(3):
        for label in range(1, 5):
            expected = by_sets(predicted[image], truth[image], label, 1.0)
            assert float(scores[image, label - 1]) == pytest.approx(expected, abs=1e-12)


def test_empty_masks():
    empty, full = torch.zeros(1, 2, 2, dtype=torch.long), torch.ones(1, 2, 2, dtype=torch.long)
    assert dice(empty, empty, 2).item() == 1
    assert np.isnan(dice(empty, empty, 2, both_empty="nan").item())
    for rule in ("one", "nan"):
        assert dice(full, empty, 2, both_empty=rule).item() == 0
        assert dice(empty, full, 2, both_empty=rule).item() == 0


def test_pooled_dice_weighs_by_size():
    predicted = torch.tensor([[[1, 1], [1, 1]], [[0, 0], [0, 1]]])
    truth = torch.tensor([[[1, 1], [1, 1]], [[1, 0], [0, 0]]])
    assert pooled_dice(predicted, truth, 2).item() == pytest.approx(2 * 4 / 10)
    assert dice(predicted, truth, 2).mean().item() == pytest.approx(0.5)


def test_subjects_count_alike_however_many_images_they_have():
    scores = np.array([[1.0, np.nan], [0.0, 0.5], [0.2, np.nan], [0.4, np.nan]])
    means = subject_means(scores, np.array([7, 7, 3, 3]))
    np.testing.assert_allclose(means, [[0.3, np.nan], [0.5, 0.5]])


@pytest.mark.parametrize("classes", [2, 5, 20])
def test_counts_at_once_are_those_of_bincount(classes):
    values = torch.randint(0, classes**2, (3, 40), generator=torch.Generator().manual_seed(0))
    expected = torch.stack([torch.bincount(row, minlength=classes**2) for row in values])
    assert torch.equal(histograms(values, classes**2), expected)
