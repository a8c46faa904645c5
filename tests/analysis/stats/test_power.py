"""Power and sample sizes: against simulated studies, the closed form where the variances are known, and in words."""

import re

import numpy as np
import pytest
from scipy import stats

from analysis.stats.intervals import Difference, Estimate, paired_difference
from analysis.stats.power import POWER, SIGNIFICANCE, VarianceParts, power, sample_needed, variance_parts
from analysis.stats.sample_size import needed_text

PARTS = VarianceParts(0.0002, 0.0018, 0.0032, runs=3, subjects=50)


def simulated(parts: VarianceParts, runs: int, subjects: int, distance: float, random: np.random.Generator):
    return (
        distance
        + np.sqrt(parts.by_run) * random.normal(size=(runs, 1))
        + np.sqrt(parts.by_subject) * random.normal(size=subjects)
        + np.sqrt(parts.residual) * random.normal(size=(runs, subjects))
    )


@pytest.mark.parametrize(("runs", "subjects"), [(4, 50), (8, 50), (6, 20)])
def test_power_is_the_share_of_simulated_studies_that_show_the_difference(runs, subjects):
    random = np.random.default_rng(0)
    studies = (simulated(PARTS, runs, subjects, 0.03, random) for _ in range(300))
    found = np.mean([paired_difference(each, 0 * each).p_value < SIGNIFICANCE for each in studies])
    error = 3 * np.sqrt(0.25 / 300 + 0.25 / 1024)
    assert power(PARTS, runs, subjects, 0.03, SIGNIFICANCE) == pytest.approx(found, abs=error)


def test_the_proposed_number_of_runs_has_the_power_and_one_less_has_not():
    sample = sample_needed(PARTS, 0.03, SIGNIFICANCE)
    assert sample is not None
    assert sample.more_runs
    assert not sample.more_subjects
    assert power(PARTS, sample.runs, 50, 0.03, SIGNIFICANCE) >= POWER
    assert power(PARTS, sample.runs - 1, 50, 0.03, SIGNIFICANCE) < POWER
    random = np.random.default_rng(1)
    studies = (simulated(PARTS, sample.runs, 50, 0.03, random) for _ in range(300))
    found = np.mean([paired_difference(each, 0 * each).p_value < SIGNIFICANCE for each in studies])
    assert found > POWER - 0.06


def test_many_runs_without_spread_have_the_power_of_a_t_test_over_subjects():
    parts = VarianceParts(0.0, 0.0018, 0.0, runs=30, subjects=40)
    shift, critical = 0.02 / np.sqrt(0.0018 / 40), stats.t.isf(0.025, 39)
    expected = stats.nct.sf(critical, 39, shift) + stats.nct.cdf(-critical, 39, shift)
    assert power(parts, 30, 40, 0.02, SIGNIFICANCE) == pytest.approx(expected, abs=0.04)


def test_more_runs_do_not_replace_test_subjects():
    sample = sample_needed(VarianceParts(0.0, 0.01, 0.0001, runs=4, subjects=20), 0.02, SIGNIFICANCE)
    assert sample is not None
    assert sample.more_subjects
    assert sample.subjects == pytest.approx(0.01 * (1.96 + 0.84) ** 2 / 0.02**2, rel=0.15)


def test_variance_parts_are_those_of_the_scores():
    scores = simulated(PARTS, 400, 300, 0.0, np.random.default_rng(2))
    parts = variance_parts(scores)
    assert parts is not None
    assert [parts.by_run, parts.by_subject, parts.residual] == pytest.approx([0.0002, 0.0018, 0.0032], rel=0.3)
    assert variance_parts(scores[:1]) is None


def undecided(parts: VarianceParts | None, replicates: int = 3, pretrainings: int = 0) -> Difference:
    return Difference(Estimate(0.01, -0.02, 0.04, 50, replicates, pretrainings), 0.3, 0.0, parts)


@pytest.mark.parametrize(
    ("difference", "distance", "text"),
    [
        (undecided(PARTS), 0.03, r"about \d replicates would show 0\.030 Dice with 80% power"),
        (undecided(PARTS, 6, 3), 0.03, r"about \d pretrainings would show"),
        (undecided(PARTS), 0.5, r"these 3 replicates would show 0\.500 Dice"),
        (
            undecided(PARTS),
            0.012,
            r"not even 50 replicates on these test subjects would show .+; about \d+ replicates on about \d+ test",
        ),
        (undecided(PARTS), 0.00001, r"not even 50 replicates on 10,000 test subjects would show 0\.000 Dice"),
        (undecided(None, 1), 0.03, "one replicate does not tell how many would do"),
    ],
)
def test_the_number_that_would_do_is_told_in_words(difference, distance, text):
    assert re.match(text, needed_text(difference, distance))


def test_more_comparisons_need_more_replicates():
    few, many = (sample_needed(PARTS, 0.03, SIGNIFICANCE / tests) for tests in (1, 12))
    assert few is not None
    assert many is not None
    assert many.runs > few.runs
