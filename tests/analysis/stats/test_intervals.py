import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from analysis.stats.intervals import DICE_RANGE, holm, interval, paired_difference


def scores(seed: int, replicates: int, subjects: int, *sd: float) -> np.ndarray:
    """Crossed effects of replicate, subject and rest, with the given standard deviations and mean 0."""
    rng = np.random.default_rng(seed)
    shapes = ((replicates, 1), (1, subjects), (replicates, subjects))
    return sum((s * rng.normal(size=shape) for s, shape in zip(sd, shapes, strict=True)), np.zeros(shapes[2]))


def test_one_replicate_is_students_test_over_subjects() -> None:
    values = np.random.default_rng(1).beta(8, 2, size=(1, 40)) - 0.75
    found = paired_difference(values, np.zeros_like(values))
    expected = stats.ttest_1samp(values[0], 0.0)
    bounds = expected.confidence_interval(0.95)
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-9)
    assert (found.estimate.low, found.estimate.high) == pytest.approx((bounds.low, bounds.high), rel=1e-9)


@pytest.mark.parametrize("replicates", [2, 3, 6])
def test_replicates_alone_get_students_interval_of_their_means(replicates: int) -> None:
    means = np.random.default_rng(2).normal(0.1, 0.03, replicates)
    found = paired_difference(np.repeat(means[:, None], 5, axis=1), np.zeros((replicates, 5)))
    expected = stats.ttest_1samp(means, 0.0)
    bounds = expected.confidence_interval(0.95)
    assert (found.estimate.low, found.estimate.high) == pytest.approx((bounds.low, bounds.high), rel=0.01)
    assert found.p_value == pytest.approx(expected.pvalue, rel=0.01)


def test_two_crossed_factors_agree_with_monte_carlo_of_the_same_pivots() -> None:
    values = scores(7, 4, 12, 0.02, 0.05, 0.03)
    rows, columns = values.mean(1, keepdims=True), values.mean(0, keepdims=True)
    rest = values - rows - columns + values.mean()
    sums = 12 * ((rows - values.mean()) ** 2).sum(), 4 * ((columns - values.mean()) ** 2).sum(), (rest**2).sum()
    rng = np.random.default_rng(0)
    a, b, c = (each / rng.chisquare(freedom, 400_000) for each, freedom in zip(sums, (3, 11, 33), strict=True))
    errors = np.sqrt(np.maximum(np.maximum(a, b), a + b - c) / values.size) * rng.normal(size=400_000)
    low, high = values.mean() + np.quantile(errors, [0.025, 0.975])
    found = interval(values)
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.01 * (high - low))
    p = (np.abs(errors) >= abs(values.mean())).mean()
    assert paired_difference(values, np.zeros_like(values)).p_value == pytest.approx(p, abs=0.004)


@given(st.integers(0, 10_000), st.integers(1, 5), st.integers(2, 12), st.sampled_from([0.0, 0.01, 0.05]), st.booleans())
def test_the_p_value_is_below_5_percent_exactly_where_the_interval_excludes_zero(
    seed: int, replicates: int, subjects: int, spread: float, paired: bool
) -> None:
    values = scores(seed, replicates, subjects, spread, 0.05, 0.03)
    starts = [number % 2 for number in range(replicates)] if paired else []
    found = paired_difference(values, np.zeros_like(values), starts)
    assert (found.p_value < 0.05) == found.estimate.excludes_zero


def test_several_pretrainings_are_the_runs() -> None:
    values = scores(5, 6, 30, 0.01, 0.05, 0.02)
    starts = ["a", "b", "c"] * 2
    shifted = values + np.array([-0.1, 0.0, 0.1] * 2)[:, None]  # pretrainings that differ much more than replicates
    means = (shifted[:3] + shifted[3:]) / 2
    assert interval(shifted, starts).low == pytest.approx(interval(means).low, rel=1e-3)
    assert interval(values, starts).n_replicates == 6
    assert interval(values, starts).n_pretrainings == 3


def test_one_pretraining_is_given_and_says_so() -> None:
    values = scores(5, 6, 30, 0.01, 0.05, 0.02)
    found = interval(values, ["a"] * 6)
    assert (found.low, found.high) == (interval(values).low, interval(values).high)
    assert "given this one" in found.pretraining_caveat
    assert found.caveat == interval(values).pretraining_caveat == ""


@pytest.mark.parametrize("replicates", [2, 3, 8])
@pytest.mark.parametrize("spread", [0.0, 0.01, 0.03])
def test_wrong_verdicts_are_rare_with_few_replicates(replicates: int, spread: float) -> None:
    found = [
        paired_difference(values, np.zeros_like(values)).p_value < 0.05
        for seed in range(300)
        for values in [scores(seed, replicates, 40, spread, 0.03, 0.04)]
    ]
    assert np.mean(found) < 0.05 + 2.6 * np.sqrt(0.05 * 0.95 / 300)


@pytest.mark.parametrize("sd", [(0.0, 0.05, 0.02), (0.01, 0.05, 0.02), (0.03, 0.01, 0.01)])
def test_interval_covers_the_truth(sd: tuple[float, float, float]) -> None:
    estimates = [interval(scores(seed, 3, 30, *sd)) for seed in range(400)]
    covered = np.mean([e.low <= 0 <= e.high for e in estimates])
    assert 0.90 <= covered <= 0.99


def test_the_order_of_subjects_does_not_matter() -> None:
    values = np.random.default_rng(4).normal(size=(5, 40))
    found, shuffled = interval(values), interval(values[:, np.random.default_rng(5).permutation(40)])
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


def test_given_the_pretrainings_their_difference_is_no_error() -> None:
    base = scores(6, 8, 40, 0.01, 0.05, 0.02)
    starts = ["a", "b"] * 4
    shifted = base + np.array([0.1, -0.1] * 4)[:, None]
    found, moved = interval(base, starts), interval(shifted, starts)
    assert found.given is not None
    assert moved.given == pytest.approx(found.given, abs=1e-9)
    assert moved.high - moved.low > 5 * (moved.given[1] - moved.given[0])
    assert "2 pretrainings are few to generalize from" in moved.pretraining_caveat
    assert interval(base).given is None
    assert interval(base[:2], ["a", "b"]).given is None


@given(st.integers(0, 10_000), st.sampled_from([(4, 2), (8, 2), (6, 3)]))
def test_covering_the_pretrainings_never_narrows_an_interval(seed: int, runs: tuple[int, int]) -> None:
    found = interval(scores(seed, runs[0], 20, 0.01, 0.03, 0.02), [number % runs[1] for number in range(runs[0])])
    assert found.given is not None
    assert found.low <= found.given[0] < found.given[1] <= found.high


def test_given_the_pretrainings_the_replicates_within_them_are_students_sample() -> None:
    means = np.array([0.1, 0.3, 0.12, 0.33, 0.11, 0.29])
    found = interval(np.repeat(means[:, None], 5, axis=1), ["a", "b"] * 3)
    within = np.concatenate([means[::2] - means[::2].mean(), means[1::2] - means[1::2].mean()])
    half = stats.t.ppf(0.975, 4) * np.sqrt((within**2).sum() / 4 / 6)
    assert found.given == pytest.approx((means.mean() - half, means.mean() + half), abs=0.01 * half)
