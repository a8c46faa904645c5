"""Distribution of the mean of scores over two crossed random factors: the runs of a cell, and the test subjects.

The model is score = mean + run effect + subject effect + residual, all random and normal. The variance of the mean is
(A + B - C) / (R S) with the mean squares A between runs, B between subjects and C of the residual. Each of them is
known only as far as its degrees of freedom tell. It is therefore divided by independent draws of chi-squared over
degrees of freedom, as in Fisher's solution of the Behrens-Fisher problem and in generalized confidence intervals
(Weerahandi, "Generalized confidence intervals", Journal of the American Statistical Association 88, 1993). With a
single run this is Student's distribution over subjects.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special, stats
from scipy.stats import qmc

Scores = NDArray[np.float64]

DRAWS = 2048
"""Number of quasi-random draws of the mean squares; a power of two, as Sobol's sequence wants."""


@dataclass(frozen=True)
class MeanDistribution:
    """Distribution of the error of a mean: normal, with a standard error that is itself uncertain.

    Attributes:
        errors: draws of the standard error `(N,)`, at least 0; a single one where `freedom` is given.
        freedom: degrees of freedom of Student's distribution; None for the mixture of normal distributions with the
            standard errors `errors`.
    """

    errors: Scores
    freedom: float | None = None

    def p_value(self, distance: float) -> float:
        """Return the two-sided p-value of a mean that lies `distance` from the hypothesis."""
        if not self.errors.any():
            return 1.0 if distance == 0 else 0.0
        with np.errstate(divide="ignore"):
            scaled = abs(distance) / self.errors
        tails = special.ndtr(-scaled) if self.freedom is None else special.stdtr(self.freedom, -scaled)
        return float(2 * tails.mean())

    def half_width(self, confidence: float) -> float:
        """Return half the width of the confidence interval of the mean; the p-value of its ends is 1 - confidence."""
        largest = float(self.errors.max())
        if largest == 0:
            return 0.0
        tail = (1 + confidence) / 2
        if self.freedom is not None:
            return float(largest * special.stdtrit(self.freedom, tail))
        high = largest * special.ndtri(tail)
        return float(optimize.brentq(lambda width: self.p_value(width) - (1 - confidence), 0, high, rtol=1e-12))


def widest(first: MeanDistribution, second: MeanDistribution) -> MeanDistribution:
    """Return the mixture with the larger standard error of two mixtures in each draw."""
    return MeanDistribution(np.maximum(first.errors, second.errors))


def mean_distribution(values: Scores, groups: int = 1) -> MeanDistribution:
    """Return the distribution of the error of the mean of scores `(R, S)`, from one run and two subjects up.

    Args:
        values: finite scores.
        groups: number of groups of runs that were centered on the same mean, each with an effect that is not random.
    """
    runs, subjects = values.shape
    if runs == 1:
        spread: Scores = np.std(values, axis=1, ddof=1)
        return MeanDistribution(spread / np.sqrt(subjects), subjects - 1.0)
    return MeanDistribution(standard_errors(sums_of_squares(values), runs, subjects, groups))


def sums_of_squares(values: Scores) -> Scores:
    """Return the sums of squares `(3,)` of scores `(R, S)`: between runs, between subjects, and of the residual."""
    runs, subjects = values.shape
    mean, by_run, by_subject = values.mean(), values.mean(axis=1), values.mean(axis=0)
    rest = values - by_run[:, None] - by_subject[None, :] + mean
    return np.array([subjects * ((by_run - mean) ** 2).sum(), runs * ((by_subject - mean) ** 2).sum(), (rest**2).sum()])


def standard_errors(squares: Scores, runs: int, subjects: int, groups: int = 1, draws: int = DRAWS) -> Scores:
    """Return draws `(..., N)` of the standard error of the mean.

    Args:
        squares: sums of squares `(3, ...)` as of `sums_of_squares`.
        runs: number of runs, from 2 up.
        subjects: number of subjects, from 2 up.
        groups: number of groups of runs that were centered on the same mean.
        draws: number N of draws, a power of two up to `DRAWS`.
    """
    drawn = _chi_squared(runs - groups, subjects - 1)[:, :draws]
    between_runs, between_subjects, residual = (squares[part][..., None] / drawn[part] for part in range(3))
    # Both other mean squares contain the residual: subtract it once, but not below either of them.
    total = np.maximum(np.maximum(between_runs, between_subjects), between_runs + between_subjects - residual)
    return np.asarray(np.sqrt(total / (runs * subjects)))


@lru_cache(maxsize=64)
def _chi_squared(runs: int, subjects: int) -> Scores:
    """Return draws `(3, N)` of chi-squared with the degrees of freedom of runs, of subjects and of the residual."""
    uniform = qmc.Sobol(3, scramble=True, seed=0).random(DRAWS).T
    freedoms = np.array([runs, subjects, runs * subjects])
    return np.asarray(stats.chi2.ppf(uniform, freedoms[:, None]))
