"""Power of a comparison: how many runs and test subjects would show a difference, from the model's variance parts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
from scipy import special, stats

from analysis.stats.two_way import Scores, standard_errors, sums_of_squares
from trainables.common.seeds import numpy_generator

SIGNIFICANCE = 0.05
"""P-value below which a difference is shown."""

POWER = 0.8
"""Probability with which a sample that "would do" shows the difference."""

MAX_RUNS = 50
"""Largest number of runs that is proposed; with more, test subjects are what is missing."""

MAX_SUBJECTS = 10_000
"""Largest number of test subjects that is proposed."""

_STUDIES, _DRAWS = 1024, 256


@dataclass(frozen=True)
class VarianceParts:
    """Variances of scores in the model of two crossed random factors (`analysis.stats.two_way`).

    Attributes:
        by_run: variance of the runs' effects, at least 0.
        by_subject: variance of the subjects' effects, at least 0.
        residual: variance of the residual, at least 0.
        runs: number of runs, at least 2, from which the parts are estimated.
        subjects: number of subjects, at least 2, from which the parts are estimated.
    """

    by_run: float
    by_subject: float
    residual: float
    runs: int
    subjects: int


@dataclass(frozen=True)
class SampleSize:
    """Smallest number of runs, and of test subjects, that would show a difference.

    Attributes:
        runs: number of runs.
        subjects: number of test subjects; those of the study where more runs alone would do.
        more_runs: True if more runs than the study had are needed.
        more_subjects: True if more test subjects than the study had are needed.
    """

    runs: int
    subjects: int
    more_runs: bool
    more_subjects: bool


def variance_parts(values: Scores) -> VarianceParts | None:
    """Return the variance parts of scores `(R, S)`; None below two runs or two subjects, which say nothing of them."""
    runs, subjects = values.shape
    if runs < 2 or subjects < 2:
        return None
    freedom = np.array([runs - 1, subjects - 1, (runs - 1) * (subjects - 1)])
    between_runs, between_subjects, residual = (sums_of_squares(values) / freedom).tolist()
    by_run, by_subject = (between_runs - residual) / subjects, (between_subjects - residual) / runs
    return VarianceParts(max(by_run, 0.0), max(by_subject, 0.0), residual, runs, subjects)


def power(parts: VarianceParts, runs: int, subjects: int, distance: float, significance: float) -> float:
    """Return the probability that a study shows a difference, by simulation of the sums of squares that its test uses.

    Args:
        parts: variances of the differences.
        runs: number of runs of that study, from 2 up.
        subjects: number of its test subjects, from 2 up.
        distance: true difference.
        significance: p-value below which a difference is shown.
    """
    freedom = np.array([runs - 1, subjects - 1, (runs - 1) * (subjects - 1)])
    expected = parts.residual + np.array([subjects * parts.by_run, runs * parts.by_subject, 0.0])
    normal, uniform = _random_numbers()
    squares = expected[:, None] * stats.chi2.ppf(uniform, freedom[:, None])
    means = distance + normal * np.sqrt((expected[0] + expected[1] - expected[2]) / (runs * subjects))
    errors = standard_errors(squares, runs, subjects, draws=_DRAWS)
    with np.errstate(divide="ignore", invalid="ignore"):
        p = 2 * special.ndtr(-np.abs(means)[:, None] / errors).mean(axis=1)
    return float((np.nan_to_num(p, nan=1.0) < significance).mean())


@lru_cache(maxsize=256)
def sample_needed(parts: VarianceParts, distance: float, significance: float) -> SampleSize | None:
    """Return the smallest sample that shows a difference with a power of `POWER`; None if none up to the limits does.

    More runs are preferred to more subjects, which are harder to get. Where no number of runs would do, subjects are
    added to those runs, then to twice as many, and so on.

    Args:
        parts: variances of the differences.
        distance: difference to show, above 0.
        significance: p-value below which a difference is shown.
    """

    def enough(runs: int, subjects: int) -> bool:
        return power(parts, runs, subjects, distance, significance) >= POWER

    fewest = _smallest(lambda runs: enough(runs, parts.subjects), parts.runs, MAX_RUNS)
    if fewest is not None:
        return SampleSize(fewest, parts.subjects, fewest > parts.runs, more_subjects=False)
    runs = parts.runs
    while runs <= MAX_RUNS:
        subjects = _smallest(partial(enough, runs), parts.subjects, MAX_SUBJECTS)
        if subjects is not None:
            return SampleSize(runs, subjects, runs > parts.runs, more_subjects=True)
        runs *= 2
    return None


def _smallest(enough: Callable[[int], bool], low: int, high: int) -> int | None:
    """Return the smallest number from `low` up to `high` that is enough, by bisection; None if none is."""
    high = max(low, high)
    if not enough(high):
        return None
    if enough(low):
        return low
    while high - low > 1:
        middle = int(np.sqrt(low * high)) if high > 2 * low else (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


@lru_cache(maxsize=1)
def _random_numbers() -> tuple[Scores, Scores]:
    """Return normal numbers `(N,)` and uniform ones `(3, N)`, equal for all samples, so that their powers compare."""
    generator = numpy_generator(0, "power")
    return generator.standard_normal(_STUDIES), generator.random((3, _STUDIES))
