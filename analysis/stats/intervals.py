"""Confidence intervals and paired comparisons over test subjects and replicates.

A cell's scores are an array `(R, S)`: every replicate (another seed and labelled subset) is evaluated on the same S
test subjects, so both are crossed random factors: score = mean + replicate effect + subject effect + residual.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from trainables.common.seeds import numpy_generator

Scores = NDArray[np.float64]

RESAMPLES = 4000
CONFIDENCE = 0.95

Range = tuple[float, float]
"""Smallest and largest possible value of a measure."""

UNBOUNDED: Range = (-np.inf, np.inf)
DICE_RANGE: Range = (0.0, 1.0)
RANGES: Mapping[str, Range] = {"dice": DICE_RANGE, "mean_absolute": (0.0, np.inf), "hausdorff": (0.0, np.inf)}
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
        cut: True where a bound would lie outside the possible values and was moved to the smallest or largest one.
    """

    mean: float
    low: float
    high: float
    n_subjects: int
    n_replicates: int
    cut: bool = False

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


@dataclass(frozen=True)
class Difference:
    """Paired difference of two cells, first minus second.

    Attributes:
        estimate: mean difference with its interval.
        p_value: two-sided p-value of Wilcoxon's signed-rank test on the subjects' mean differences; NaN below two
            subjects.
        effect: Cohen's d of paired samples: mean of the subjects' differences divided by their standard deviation;
            NaN where this is zero.
    """

    estimate: Estimate
    p_value: float
    effect: float


def interval(
    values: Scores,
    name: str = "",
    *,
    possible: Range = UNBOUNDED,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
) -> Estimate:
    """Return the mean of `values` with a bootstrap interval over subjects and replicates.

    Each resample draws S subjects with replacement, shared by all replicates, and R replicates with replacement (the
    two-way bootstrap of Owen, "The pigeonhole bootstrap", 2007). The percentiles are then expanded about the mean
    (Hesterberg, "What teachers should know about the bootstrap", 2015), because few replicates show too little spread:
    the bootstrap's standard error and normal quantile are replaced by the standard error of the two-way analysis of
    variance and Student's quantile with Satterthwaite's degrees of freedom. With two replicates, hence one degree of
    freedom, that quantile is 12.7, so that the interval can exceed the possible values; it is cut there, which leaves
    its coverage as it is.

    Args:
        values: finite scores `(R, S)`, on any scale.
        name: name of the random stream; equal names and scores give equal intervals.
        possible: smallest and largest possible value; the default cuts nothing.
        resamples: number of bootstrap resamples.
        confidence: confidence level in (0, 1).

    Returns:
        The estimate. With one replicate only subjects are resampled; with one subject the bounds are NaN.

    Example:
        >>> scores = np.array([[0.80, 0.90, 0.85], [0.82, 0.91, 0.88]])
        >>> round(interval(scores).mean, 3)
        0.86
    """
    values = np.asarray(values, dtype=np.float64)
    replicates, subjects = values.shape
    if values.size == 0:
        return Estimate(float("nan"), float("nan"), float("nan"), subjects, replicates)
    mean = float(values.mean())
    if subjects == 1:
        return Estimate(mean, float("nan"), float("nan"), subjects, replicates)
    deviations = resampled_means(values, name, resamples) - mean
    tails = np.array([(1 - confidence) / 2, (1 + confidence) / 2])
    bounds = mean + _expansion(values, deviations, confidence) * np.quantile(deviations, tails)
    low, high = np.clip(bounds, *possible)
    return Estimate(mean, float(low), float(high), subjects, replicates, cut=bool(np.any(bounds != (low, high))))


def paired_difference(a: Scores, b: Scores, name: str = "", *, possible: Range = UNBOUNDED) -> Difference:
    """Return the mean of `a - b` over shared replicates and subjects, with its interval and p-value.

    The two-sided p-value is from Wilcoxon's signed-rank test on the S differences averaged over replicates (zeros
    dropped; 1 when all are zero). It generalizes over subjects for these replicates; the interval generalizes over
    both. With n subjects the p-value is at least 2 / 2^n.

    Args:
        a: scores `(R, S)`.
        b: scores `(R, S)`, in the order of `a`.
        name: name of the random stream.
        possible: smallest and largest possible score, so that the interval is cut at the largest possible difference.

    Raises:
        ValueError: the shapes differ.
    """
    if a.shape != b.shape:
        raise ValueError(f"paired scores of shapes {a.shape} and {b.shape}, expected the same replicates and subjects")
    difference = a - b
    by_subject = difference.mean(axis=0) if difference.size else np.zeros(0)
    largest = possible[1] - possible[0]
    estimate = interval(difference, name, possible=(-largest, largest))
    return Difference(estimate, _wilcoxon(by_subject), _effect(by_subject))


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


def resampled_means(values: Scores, name: str, resamples: int = RESAMPLES) -> Scores:
    """Return bootstrap means over resampled replicates and subjects, independent of the order of the subjects.

    Args:
        values: scores `(..., R, S)`; the leading axes share the resamples.
        name: name of the random stream.
        resamples: number of resamples, B.

    Returns:
        Means `(B, ...)`.
    """
    generator = numpy_generator(0, "bootstrap", name)
    replicates, subjects = values.shape[-2:]
    # Subjects are ordered by keyed hash, and each workspace has another key: sort by score instead.
    values = values[..., np.lexsort(values.reshape(-1, subjects))]
    replicate_counts = generator.multinomial(replicates, np.full(replicates, 1 / replicates), size=resamples)
    subject_counts = generator.multinomial(subjects, np.full(subjects, 1 / subjects), size=resamples)
    sums = np.einsum("br,...rs,bs->b...", replicate_counts, values, subject_counts, optimize=True)
    means: Scores = sums / (replicates * subjects)
    return means


def expanded_tails(size: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Return the bootstrap quantiles of an interval, expanded for small samples (Hesterberg, 2015).

    Resampling underestimates the spread by the square root of (n - 1) / n and has normal tails instead of Student's.

    Args:
        size: sample size, n.
        confidence: confidence level in (0, 1).
    """
    if size < 2:
        return 0.0, 1.0
    quantile = np.sqrt(size / (size - 1)) * stats.t.ppf((1 + confidence) / 2, size - 1)
    tail = float(stats.norm.cdf(-quantile))
    return tail, 1 - tail


def _expansion(values: Scores, deviations: Scores, confidence: float) -> float:
    """Return the factor that expands bootstrap percentiles to the small-sample width."""
    spread = float(deviations.std())
    if spread == 0:
        return 1.0
    error, freedom = _standard_error(values)
    tail = (1 + confidence) / 2
    return float(error * stats.t.ppf(tail, freedom) / (spread * stats.norm.ppf(tail)))


def _standard_error(values: Scores) -> tuple[float, float]:
    """Return the standard error of the mean of crossed random effects and Satterthwaite's degrees of freedom."""
    replicates, subjects = values.shape
    mean, by_replicate, by_subject = values.mean(), values.mean(axis=1), values.mean(axis=0)
    if replicates == 1:
        return float(by_subject.std(ddof=1) / np.sqrt(subjects)), subjects - 1.0
    rest = values - by_replicate[:, None] - by_subject[None, :] + mean
    freedoms = np.array([replicates - 1, subjects - 1, (replicates - 1) * (subjects - 1)], dtype=np.float64)
    squares = np.array(
        [subjects * ((by_replicate - mean) ** 2).sum(), replicates * ((by_subject - mean) ** 2).sum(), (rest**2).sum()]
    )
    between_replicates, between_subjects, residual = squares / freedoms
    # Both mean squares contain the residual: subtract it once, but not below either of them.
    total = max(between_replicates + between_subjects - residual, between_replicates, between_subjects)
    parts = np.array([between_replicates, between_subjects, residual])
    freedom = total**2 / (parts**2 / freedoms).sum() if total > 0 else freedoms[1]
    return float(np.sqrt(total / values.size)), float(max(freedom, freedoms[:2].min()))


def _wilcoxon(differences: Scores) -> float:
    if len(differences) < 2:
        return float("nan")
    if not differences.any():
        return 1.0
    return float(stats.wilcoxon(differences).pvalue)


def _effect(differences: Scores) -> float:
    spread = float(differences.std(ddof=1)) if len(differences) > 1 else 0.0
    return float(differences.mean() / spread) if spread > 0 else float("nan")
