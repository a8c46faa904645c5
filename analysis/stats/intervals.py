"""Intervals and paired comparisons that respect what varies: the test subjects and the replicates.

A cell's scores are an array `(R, S)`: every replicate (another seed and labelled subset) is judged on the same S test
subjects, so both are crossed random factors: score = mean + replicate effect + subject effect + rest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from trainables.common.seeds import numpy_generator

Scores = NDArray[np.float64]

RESAMPLES = 4000
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimate:
    """A mean with its confidence interval.

    Attributes:
        mean: over replicates and subjects.
        low: lower end of the interval; NaN where it cannot be had.
        high: upper end.
        n_subjects: S.
        n_replicates: R.
    """

    mean: float
    low: float
    high: float
    n_subjects: int
    n_replicates: int

    @property
    def known(self) -> bool:
        """Whether there is an interval."""
        return bool(np.isfinite(self.low) and np.isfinite(self.high))

    @property
    def excludes_zero(self) -> bool:
        """Whether the whole interval is on one side of zero."""
        return self.known and (self.low > 0 or self.high < 0)

    @property
    def caveat(self) -> str:
        """What the interval does not cover, or empty."""
        if self.n_subjects == 0 or self.n_replicates == 0:
            return "nothing has been measured yet"
        if self.n_subjects == 1:
            return "one test subject: no interval can be given"
        if self.n_replicates == 1:
            return "one replicate: the interval covers the choice of test subjects, not of seed and labelled subset"
        return ""


@dataclass(frozen=True)
class Difference:
    """A paired difference of two cells, first minus second.

    Attributes:
        estimate: the mean difference.
        p_value: two-sided, Wilcoxon's signed-rank test over the subjects' mean differences; NaN below two subjects.
        effect: Cohen's d of paired samples, the subjects' mean differences in their standard deviations; NaN where
            these do not vary.
    """

    estimate: Estimate
    p_value: float
    effect: float


def interval(values: Scores, name: str = "", *, resamples: int = RESAMPLES, confidence: float = CONFIDENCE) -> Estimate:
    """The mean of `values` with a bootstrap interval over subjects and replicates.

    Every resample draws S subjects with replacement, the same ones for all replicates, and R replicates with
    replacement (the two-way bootstrap of Owen, "The pigeonhole bootstrap", 2007). Its percentiles are then expanded
    about the mean (Hesterberg, "What teachers should know about the bootstrap", 2015), because resampling three
    replicates shows too little spread and has no heavy tails: the factor puts the standard error of the two-way
    analysis of variance and Student's quantile, with Satterthwaite's degrees of freedom, in place of the bootstrap's
    own standard error and the normal quantile.

    Args:
        values: `(R, S)`, finite; any scale.
        name: of the random stream, so that the same scores give the same interval.
        resamples: number of bootstrap draws.
        confidence: in (0, 1).

    Returns:
        The estimate. With one replicate only subjects are resampled; with one subject there is no interval (NaN).
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
    low, high = mean + _expansion(values, deviations, confidence) * np.quantile(deviations, tails)
    return Estimate(mean, float(low), float(high), subjects, replicates)


def paired_difference(a: Scores, b: Scores, name: str = "") -> Difference:
    """Mean of `a - b` over the same replicates and subjects, with its interval and a p-value.

    The p-value is two-sided, of Wilcoxon's signed-rank test on the S differences that remain when each subject's
    differences are averaged over replicates (zeros dropped, as Wilcoxon did; 1 when all are zero). It speaks of
    subjects, given these replicates; the interval speaks of both. With n subjects it cannot fall below 2 / 2^n.

    Args:
        a: `(R, S)`.
        b: `(R, S)`, in the same order of replicates and subjects.
        name: of the random stream.

    Raises:
        ValueError: the shapes differ.
    """
    if a.shape != b.shape:
        raise ValueError(f"paired scores of shapes {a.shape} and {b.shape}, expected the same replicates and subjects")
    difference = a - b
    by_subject = difference.mean(axis=0) if difference.size else np.zeros(0)
    return Difference(interval(difference, name), _wilcoxon(by_subject), _effect(by_subject))


def holm(p_values: Scores) -> Scores:
    """Holm's step-down adjustment for testing all of `p_values` `(n,)` at once; NaN counts as no test and stays NaN."""
    p_values = np.asarray(p_values, dtype=np.float64)
    adjusted = np.full_like(p_values, np.nan)
    tested = np.flatnonzero(~np.isnan(p_values))
    order = tested[np.argsort(p_values[tested], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(factors * p_values[order]), 1.0)
    return adjusted


def resampled_means(values: Scores, name: str, resamples: int = RESAMPLES) -> Scores:
    """Means of scores over the same resampled replicates and subjects, whatever the order of the subjects.

    Args:
        values: `(..., R, S)`; what stands before the last two axes shares the resamples.
        name: of the random stream.
        resamples: their number, B.

    Returns:
        `(B, ...)`.
    """
    generator = numpy_generator(0, "bootstrap", name)
    replicates, subjects = values.shape[-2:]
    # Subjects come in the order of their hashes, which every workspace makes with a key of its own.
    values = values[..., np.lexsort(values.reshape(-1, subjects))]
    replicate_counts = generator.multinomial(replicates, np.full(replicates, 1 / replicates), size=resamples)
    subject_counts = generator.multinomial(subjects, np.full(subjects, 1 / subjects), size=resamples)
    sums = np.einsum("br,...rs,bs->b...", replicate_counts, values, subject_counts, optimize=True)
    means: Scores = sums / (replicates * subjects)
    return means


def expanded_tails(size: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The bootstrap's quantiles to take for an interval from a sample of `size`, expanded as Hesterberg (2015) does.

    Resampling shows a spread that is too small by the root of (n - 1) / n, and has the normal's tails in place of
    Student's.
    """
    if size < 2:
        return 0.0, 1.0
    quantile = np.sqrt(size / (size - 1)) * stats.t.ppf((1 + confidence) / 2, size - 1)
    tail = float(stats.norm.cdf(-quantile))
    return tail, 1 - tail


def _expansion(values: Scores, deviations: Scores, confidence: float) -> float:
    """By how much the bootstrap's percentiles must grow to have the small-sample width."""
    spread = float(deviations.std())
    if spread == 0:
        return 1.0
    error, freedom = _standard_error(values)
    tail = (1 + confidence) / 2
    return float(error * stats.t.ppf(tail, freedom) / (spread * stats.norm.ppf(tail)))


def _standard_error(values: Scores) -> tuple[float, float]:
    """Standard error of the mean of crossed random effects, and Satterthwaite's degrees of freedom."""
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
    # Both mean squares hold the residual once; it may be taken out once, but never below either of them.
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
