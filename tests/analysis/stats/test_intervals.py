import numpy as np
import pytest
from scipy import stats

from analysis.stats.intervals import DICE_RANGE, expanded_tails, holm, interval, paired_difference


def scores(seed: int, replicates: int, subjects: int, *sd: float) -> np.ndarray:
    """Crossed effects of replicate, subject and rest, with the given standard deviations and mean 0."""
    rng = np.random.default_rng(seed)
    shapes = ((replicates, 1), (1, subjects), (replicates, subjects))
    return sum((s * rng.normal(size=shape) for s, shape in zip(sd, shapes, strict=True)), np.zeros(shapes[2]))


def test_one_replicate_is_the_percentile_bootstrap_over_subjects() -> None:
    values = np.random.default_rng(1).beta(8, 2, size=(1, 400))
    found = interval(values, "x", resamples=20000)
    expected = stats.bootstrap((values[0],), np.mean, method="percentile", n_resamples=20000, rng=2).confidence_interval
    width = expected.high - expected.low
    assert found.mean == pytest.approx(values.mean())
    assert found.low == pytest.approx(expected.low, abs=0.03 * width)
    assert found.high == pytest.approx(expected.high, abs=0.03 * width)


def test_few_subjects_get_students_interval() -> None:
    values = np.random.default_rng(3).normal(size=(1, 8))
    expected = stats.t.interval(0.95, 7, values.mean(), stats.sem(values[0]))
    found = interval(values, resamples=40000)
    # Symmetric only in the limit: the bootstrap keeps the sample's skewness, so the width is what must agree.
    assert found.high - found.low == pytest.approx(expected[1] - expected[0], rel=0.04)


def test_replicates_alone_get_students_interval_of_their_means() -> None:
    means = np.array([0.1, 0.12, 0.17, 0.13, 0.18, 0.15])
    values = np.repeat(means[:, None], 5, axis=1)
    expected = stats.t.interval(0.95, 5, means.mean(), stats.sem(means))
    found = interval(values, resamples=40000)
    assert found.high - found.low == pytest.approx(expected[1] - expected[0], rel=0.05)


@pytest.mark.parametrize("sd", [(0.0, 0.05, 0.02), (0.01, 0.05, 0.02), (0.03, 0.01, 0.01)])
def test_interval_covers_the_truth(sd: tuple[float, float, float]) -> None:
    estimates = [interval(scores(seed, 3, 30, *sd), resamples=500) for seed in range(400)]
    covered = np.mean([e.low <= 0 <= e.high for e in estimates])
    assert 0.90 <= covered <= 0.99


def test_same_name_same_interval() -> None:
    values = scores(0, 3, 20, 0.01, 0.05, 0.02)
    assert interval(values, "a") == interval(values, "a")
    assert interval(values, "a") != interval(values, "b")


def test_the_order_of_subjects_does_not_matter() -> None:
    values = np.random.default_rng(4).normal(size=(5, 40))
    found, shuffled = interval(values, "order"), interval(values[:, np.random.default_rng(5).permutation(40)], "order")
    assert (found.low, found.high) == pytest.approx((shuffled.low, shuffled.high), rel=1e-12)


def test_one_subject_has_no_interval_and_says_so() -> None:
    found = interval(np.array([[0.8], [0.9]]))
    assert found.mean == pytest.approx(0.85)
    assert not found.known
    assert not found.excludes_zero
    assert "one test subject" in found.caveat


def test_one_replicate_says_what_is_not_covered() -> None:
    assert "not of seed" in interval(np.array([[0.8, 0.9, 0.7]])).caveat
    assert interval(np.ones((2, 3))).caveat == ""


def test_nothing_measured() -> None:
    found = interval(np.empty((0, 0)))
    assert np.isnan(found.mean)
    assert found.caveat == "no results yet"


def test_equal_scores_have_a_point_as_interval() -> None:
    found = interval(np.full((3, 4), 0.5))
    assert (found.low, found.high) == (0.5, 0.5)


def test_an_interval_is_cut_at_the_possible_values_and_says_so() -> None:
    # Two replicates that disagree: Student's quantile of one degree of freedom is 12.7, which no Dice can follow.
    values = np.array([[0.2, 0.3, 0.25, 0.3], [0.8, 0.9, 0.85, 0.9]])
    free, cut = interval(values), interval(values, possible=DICE_RANGE)
    assert free.low < 0
    assert free.high > 1
    assert (cut.mean, cut.low, cut.high) == (free.mean, 0.0, 1.0)
    assert "cut at the possible values" in cut.caveat
    assert free.caveat == ""
    narrow = interval(values[:1].repeat(3, axis=0), possible=DICE_RANGE)
    assert narrow == interval(values[:1].repeat(3, axis=0))


def test_a_difference_of_dice_is_cut_at_one() -> None:
    a, b = np.array([[0.9, 0.8, 0.9], [0.1, 0.2, 0.1]]), np.array([[0.3, 0.3, 0.4], [0.3, 0.4, 0.3]])
    assert paired_difference(a, b).estimate.high > 1
    found = paired_difference(a, b, possible=DICE_RANGE)
    assert (found.estimate.low, found.estimate.high) == (-1.0, 1.0)
    assert found.p_value == paired_difference(a, b).p_value


def test_difference_is_paired() -> None:
    shared = scores(1, 3, 20, 0.0, 0.2, 0.0)
    noise = scores(2, 3, 20, 0.0, 0.0, 0.01)
    found = paired_difference(shared + 0.02 + noise, shared)
    assert found.estimate.mean == pytest.approx(0.02 + noise.mean())
    assert found.estimate.high - found.estimate.low < 0.02
    assert found.estimate.excludes_zero


def test_p_value_is_wilcoxons_on_subject_means() -> None:
    difference = np.array([[0.1, 0.3, -0.2, 0.5, 0.45], [0.3, 0.1, 0.1, 0.4, 0.25]])
    # Means .2 .2 -.05 .45 .35: the one negative has rank 1, so W = 1.
    base = scores(4, 2, 5, 0.1, 0.1, 0.1)
    found = paired_difference(base + difference, base)
    assert found.p_value == pytest.approx(float(stats.wilcoxon([0.2, 0.2, -0.05, 0.45, 0.35]).pvalue))


def test_exact_p_value_of_six_subjects_that_all_improve() -> None:
    base = np.zeros((2, 6))
    found = paired_difference(base + np.array([0.01, 0.02, 0.03, 0.04, 0.05, 0.06]), base)
    assert found.p_value == pytest.approx(2 / 2**6)


def test_p_value_of_no_difference_and_of_one_subject() -> None:
    base = scores(0, 2, 5, 0.1, 0.1, 0.1)
    assert paired_difference(base, base).p_value == 1.0
    assert np.isnan(paired_difference(base[:, :1], base[:, 1:2]).p_value)


def test_unpaired_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="same replicates and subjects"):
        paired_difference(np.zeros((2, 5)), np.zeros((3, 5)))


def test_holm_agrees_with_statsmodels() -> None:
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    p_values = np.random.default_rng(0).random(40) ** 4
    np.testing.assert_allclose(holm(p_values), multitest.multipletests(p_values, method="holm")[1], rtol=1e-12)


def test_holm_by_hand() -> None:
    # Sorted .01 .02 .03 .04, times 4 3 2 1: .04 .06 .06 .04, never falling: .04 .06 .06 .06.
    np.testing.assert_allclose(holm(np.array([0.03, 0.01, np.nan, 0.04, 0.02])), [0.06, 0.04, np.nan, 0.06, 0.06])
    np.testing.assert_allclose(holm(np.array([0.7, 0.9])), [1.0, 1.0])
    assert len(holm(np.array([]))) == 0


def test_the_effect_is_the_paired_t_over_the_root_of_the_subjects():
    random = np.random.default_rng(3)
    a, b = random.normal(0.8, 0.1, (2, 4, 30))
    t = stats.ttest_rel(a.mean(axis=0), b.mean(axis=0)).statistic
    assert paired_difference(a, b).effect == pytest.approx(t / np.sqrt(30))
    assert np.isnan(paired_difference(a, a).effect)


def test_expanded_tails_hold_the_mean_as_students_interval_does():
    random = np.random.default_rng(0)
    low, high = expanded_tails(10)
    held = 0
    for _ in range(800):
        sample = random.normal(size=10)
        means = sample[random.integers(0, 10, (1000, 10))].mean(axis=1)
        a, b = np.quantile(means, [low, high])
        held += a <= 0 <= b
    assert 0.92 < held / 800 < 0.98
    assert expanded_tails(1) == (0.0, 1.0)
