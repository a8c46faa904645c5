"""Confidence intervals and paired comparisons over test subjects, replicates and pretrainings.

A cell's scores are an array `(R, S)`: every replicate (another seed and labelled subset) is evaluated on the same S
test subjects. Interval and p-value come from one model, see `analysis.stats.two_way`: a p-value is below 0.05 exactly
where the 95% interval excludes zero.

Replicates that start from one pretraining share its luck. Where a cell has several pretrainings, the mean of the
replicates of each one is a run of the model; where it has one, the interval holds given that pretraining.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from analysis.stats.power import VarianceParts, variance_parts
from analysis.stats.two_way import Scores, mean_distribution, widest

CONFIDENCE = 0.95
ENOUGH_PRETRAININGS = 4
"""Number of pretrainings from which Student's factor, 3.2 and below, is no longer what makes an interval wide."""

Range = tuple[float, float]
"""Smallest and largest possible value of a measure."""

UNBOUNDED: Range = (-np.inf, np.inf)
DICE_RANGE: Range = (0.0, 1.0)
RANGES: Mapping[str, Range] = {
    "dice": DICE_RANGE,
    **dict.fromkeys(("hausdorff", "hausdorff95", "mean_absolute", "mean_contour"), (0.0, np.inf)),
}
"""Range of each measure that a table or figure shows with an interval."""


@dataclass(frozen=True)
class Estimate:
    """Mean with its confidence interval.

    Attributes:
        mean: mean over replicates and subjects.
        low: lower bound of the interval; NaN where no interval exists.
        high: upper bound of the interval; NaN where no interval exists.
        n_subjects: number of test subjects, S.
        n_replicates: number of replicates, R.
        n_pretrainings: number of pretrainings that the replicates start from; 0 where they start from none.
        cut: True where a bound would lie outside the possible values and was moved to the smallest or largest one.
        given: bounds of the interval given these pretrainings, which does not cover their choice; None unless there are
            several with several replicates each.
    """

    mean: float
    low: float
    high: float
    n_subjects: int
    n_replicates: int
    n_pretrainings: int = 0
    cut: bool = False
    given: tuple[float, float] | None = None

    @property
    def known(self) -> bool:
        """True where the interval exists."""
        return bool(np.isfinite(self.low) and np.isfinite(self.high))

    @property
    def excludes_zero(self) -> bool:
        """True where the interval lies on one side of zero."""
        return self.known and (self.low > 0 or self.high < 0)

    @property
    def caveat(self) -> str:
        """Limitation of the interval in words; empty without one."""
        if self.n_subjects == 0 or self.n_replicates == 0:
            return "no results yet"
        if self.n_subjects == 1:
            return "one test subject: no interval"
        if self.n_replicates == 1:
            return "one replicate: the interval covers the choice of test subjects, not of seed and labelled subset"
        if self.cut:
            return "interval cut at the possible values, for lack of replicates or test subjects"
        return ""

    @property
    def pretraining_caveat(self) -> str:
        """Limitation of the interval for lack of pretrainings, in words; empty without one."""
        if self.n_pretrainings == 1:
            return "one pretraining: intervals are given this one and do not cover the choice of its seed"
        if 1 < self.n_pretrainings < ENOUGH_PRETRAININGS:
            few = f"{self.n_pretrainings} pretrainings are few to generalize from, and such intervals often wide"
            return f"{few}; {ENOUGH_PRETRAININGS} would do"
        return ""


@dataclass(frozen=True)
class Difference:
    """Paired difference of two cells, first minus second.

    Attributes:
        estimate: mean difference with its interval.
        p_value: two-sided p-value of the same model as the interval; NaN below two subjects.
        effect: Cohen's d of paired samples: mean of the subjects' differences divided by their standard deviation;
            NaN where this is zero.
        parts: variances of the differences; None below two runs or two subjects.
    """

    estimate: Estimate
    p_value: float
    effect: float
    parts: VarianceParts | None = None


def interval(
    values: Scores,
    pretrainings: Sequence[Hashable] = (),
    *,
    possible: Range = UNBOUNDED,
    confidence: float = CONFIDENCE,
) -> Estimate:
    """Return the mean of `values` with its confidence interval over subjects, replicates and pretrainings.

    With few replicates the interval can exceed the possible values; it is cut there, which leaves its coverage.

    Args:
        values: finite scores `(R, S)`, on any scale.
        pretrainings: pretraining that each replicate starts from, `(R,)`; empty where they start from none.
        possible: smallest and largest possible value; the default cuts nothing.
        confidence: confidence level in (0, 1).

    Returns:
        The estimate. With one replicate it covers the choice of subjects only; with one subject the bounds are NaN.

    Example:
        >>> scores = np.array([[0.80, 0.90, 0.85], [0.82, 0.91, 0.88]])
        >>> round(interval(scores).mean, 3)
        0.86
    """
    return _tested(np.asarray(values, dtype=np.float64), pretrainings, possible, confidence)[0]


def paired_difference(
    a: Scores, b: Scores, pretrainings: Sequence[Hashable] = (), *, possible: Range = UNBOUNDED
) -> Difference:
    """Return the mean of `a - b` over shared replicates and subjects, with its interval and p-value.

    Args:
        a: scores `(R, S)`.
        b: scores `(R, S)`, in the order of `a`.
        pretrainings: pretrainings that the two scores of each replicate start from, `(R,)`; empty for none.
        possible: smallest and largest possible score, so that the interval is cut at the largest possible difference.

    Raises:
        ValueError: the shapes differ.
    """
    if a.shape != b.shape:
        raise ValueError(f"paired scores of shapes {a.shape} and {b.shape}, expected the same replicates and subjects")
    difference = np.asarray(a - b, dtype=np.float64)
    by_subject = difference.mean(axis=0) if difference.size else np.zeros(0)
    largest = possible[1] - possible[0]
    estimate, p_value = _tested(difference, pretrainings, (-largest, largest), CONFIDENCE)
    parts = variance_parts(runs_of(difference, pretrainings))
    return Difference(estimate, p_value, _effect(by_subject), parts)


def runs_of(values: Scores, pretrainings: Sequence[Hashable]) -> Scores:
    """Return the scores of each pretraining `(..., P, S)`, averaged over its replicates.

    Args:
        values: scores `(..., R, S)`.
        pretrainings: pretraining that each replicate starts from, `(R,)`. Where there are none or only one, the
            replicates themselves are returned.
    """
    groups = list(dict.fromkeys(pretrainings))
    if len(groups) < 2:
        return values
    members = [[own == group for own in pretrainings] for group in groups]
    return np.stack([values[..., chosen, :].mean(axis=-2) for chosen in members], axis=-2)


def holm(p_values: Scores) -> Scores:
    """Return p-values `(n,)` adjusted by Holm's step-down method; NaN is ignored and stays NaN.

    Example:
        >>> holm(np.array([0.01, 0.04])).tolist()
        [0.02, 0.04]
    """
    p_values = np.asarray(p_values, dtype=np.float64)
    adjusted = np.full_like(p_values, np.nan)
    tested = np.flatnonzero(~np.isnan(p_values))
    order = tested[np.argsort(p_values[tested], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(factors * p_values[order]), 1.0)
    return adjusted


def _tested(
    values: Scores, pretrainings: Sequence[Hashable], possible: Range, confidence: float
) -> tuple[Estimate, float]:
    """Return the mean of scores `(R, S)` with its interval, and the p-value of a mean of zero."""
    replicates, subjects = values.shape
    count, nan = len(set(pretrainings)), float("nan")
    if values.size == 0:
        return Estimate(nan, nan, nan, subjects, replicates, count), nan
    mean = float(values.mean())
    if subjects == 1:
        return Estimate(mean, nan, nan, subjects, replicates, count), nan
    distribution = mean_distribution(runs_of(values, pretrainings))
    given = None
    if 1 < count < replicates:
        fixed = mean_distribution(_centered(values, pretrainings), count)
        given = (mean - fixed.half_width(confidence), mean + fixed.half_width(confidence))
        distribution = widest(distribution, fixed)  # equal pretrainings say nothing against replicates that differ
    width = distribution.half_width(confidence)
    bounds = (mean - width, mean + width)
    low, high = np.clip(bounds, *possible).tolist()
    cut = (low, high) != bounds
    return Estimate(mean, low, high, subjects, replicates, count, cut, given), distribution.p_value(mean)


def _centered(values: Scores, pretrainings: Sequence[Hashable]) -> Scores:
    """Return scores `(R, S)` without the differences between the means of the pretrainings."""
    centered = values.copy()
    for group in set(pretrainings):
        chosen = [own == group for own in pretrainings]
        centered[chosen] += values.mean() - values[chosen].mean()
    return centered


def _effect(differences: Scores) -> float:
    spread = float(differences.std(ddof=1)) if len(differences) > 1 else 0.0
    return float(differences.mean() / spread) if spread > 0 else float("nan")
