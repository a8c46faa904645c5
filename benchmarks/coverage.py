"""Error rates of the report's statistics in simulated studies whose truth is known.

`python -m benchmarks.coverage [--studies 1000]` simulates Dice of R replicates on S test subjects, with random effects
of replicate, subject and their interaction, normal or as skewed as real Dice is (a few subjects fail). It prints

- the share of 95% confidence intervals that contain the true mean, beside the plain percentile bootstrap over subjects;
- the share of studies without any difference in which a verdict is wrong, after Holm's adjustment over all of the
  study's comparisons, beside Wilcoxon's test over subjects; and the power to find a difference of 0.03 Dice.
"""

from __future__ import annotations

import argparse
import itertools
import json
from dataclasses import asdict, dataclass

import numpy as np
from scipy import stats

from analysis.stats.intervals import holm, interval, paired_difference
from analysis.stats.power import SIGNIFICANCE
from analysis.stats.two_way import Scores

RESAMPLES = 1000
EFFECT = 0.03
"""Difference in Dice whose discovery is counted as power."""

METHODS = 3
"""Number of methods that a simulated study compares with its reference."""


@dataclass(frozen=True)
class Case:
    """Parameters of a simulated study.

    Attributes:
        replicates: number R of replicates.
        subjects: number S of test subjects.
        by_replicate: standard deviation between replicates, in Dice.
        by_subject: standard deviation between subjects, in Dice.
        by_both: standard deviation of the residual (replicate by subject), in Dice.
        skewed: if True, the subjects' effects follow a gamma distribution with a long tail of failures; default normal.
    """

    replicates: int
    subjects: int
    by_replicate: float
    by_subject: float
    by_both: float
    skewed: bool = False


@dataclass(frozen=True)
class Coverage:
    """Coverage (0 to 1) and mean width of both kinds of interval for one case."""

    case: Case
    ours: float
    subjects_only: float
    width: float
    width_subjects_only: float


@dataclass(frozen=True)
class Errors:
    """Shares (0 to 1) of simulated studies: wrong verdicts without a difference, by both tests, and our power."""

    case: Case
    wrong: float
    wrong_wilcoxon: float
    power: float


COVERAGE_CASES = (
    Case(3, 50, 0.01, 0.06, 0.04),
    Case(5, 50, 0.01, 0.06, 0.04),
    Case(5, 100, 0.02, 0.06, 0.04),
    Case(8, 28, 0.01, 0.06, 0.04),
    Case(10, 200, 0.005, 0.08, 0.04),
    Case(5, 50, 0.0, 0.06, 0.04),
    Case(5, 100, 0.01, 0.08, 0.04, skewed=True),
    Case(1, 50, 0.0, 0.06, 0.04),
)
ERROR_CASES = tuple(
    Case(replicates, subjects, by_replicate, 0.03, 0.04)
    for replicates, subjects, by_replicate in itertools.product((2, 3, 6, 10), (5, 50, 200), (0.0, 0.01, 0.03))
)


def simulate(case: Case, random: np.random.Generator) -> Scores:
    """Return simulated scores `(R, S)` whose true mean is 0."""
    subject = random.normal(size=case.subjects)
    if case.skewed:
        subject = (2.0 - random.gamma(2.0, size=case.subjects)) / np.sqrt(2.0)
    scores: Scores = (
        case.by_replicate * random.normal(size=(case.replicates, 1))
        + case.by_subject * subject
        + case.by_both * random.normal(size=(case.replicates, case.subjects))
    )
    return scores


def coverage(case: Case, studies: int, seed: int) -> Coverage:
    """Simulate `studies` studies and return the coverage of their intervals."""
    random = np.random.default_rng(seed)
    covered, widths = np.zeros(2), np.zeros(2)
    for _ in range(studies):
        scores = simulate(case, random)
        estimate = interval(scores)
        means = scores.mean(axis=0)
        drawn = means[random.integers(0, case.subjects, (RESAMPLES, case.subjects))].mean(axis=1)
        plain = np.quantile(drawn, [0.025, 0.975])
        for index, (low, high) in enumerate(((estimate.low, estimate.high), plain)):
            covered[index] += low <= 0 <= high
            widths[index] += high - low
    return Coverage(case, *(covered / studies).tolist(), *(widths / studies).tolist())


def errors(case: Case, studies: int, seed: int) -> Errors:
    """Simulate `studies` studies that compare methods with a reference; return the shares of wrong and right verdicts.

    A study without a difference counts as wrong if any of its comparisons is significant after Holm's adjustment. For
    the power all methods differ from the reference by `EFFECT`, and each comparison counts by itself.
    """
    random = np.random.default_rng(seed)
    wrong, wrong_wilcoxon, found = 0, 0, 0
    for _ in range(studies):
        reference, *methods = (simulate(case, random) for _ in range(METHODS + 1))
        p = holm(np.array([paired_difference(scores, reference).p_value for scores in methods]))
        wrong += bool((p < SIGNIFICANCE).any())
        by_subject = [(scores - reference).mean(axis=0) for scores in methods]
        plain = holm(np.array([stats.wilcoxon(each).pvalue for each in by_subject]))
        wrong_wilcoxon += bool((plain < SIGNIFICANCE).any())
        shifted = holm(np.array([paired_difference(scores + EFFECT, reference).p_value for scores in methods]))
        found += int((shifted < SIGNIFICANCE).sum())
    return Errors(case, wrong / studies, wrong_wilcoxon / studies, found / (METHODS * studies))


def main() -> None:
    """Print one line for each case, or all results as JSON with `--json`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=1000, help="number of simulated studies for each case")
    parser.add_argument("--seed", type=int, default=0, help="seed of the simulation")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    arguments = parser.parse_args()
    covered = [coverage(case, arguments.studies, arguments.seed) for case in COVERAGE_CASES]
    tested = [errors(case, arguments.studies, arguments.seed) for case in ERROR_CASES]
    if arguments.json:
        print(json.dumps([asdict(each) for each in (*covered, *tested)], indent=1))
        return
    error = 100 * stats.norm.ppf(0.975) * np.sqrt(0.95 * 0.05 / arguments.studies)
    print(f"{arguments.studies} studies for each case; simulation error at 95.0% or 5.0%: {error:.1f} points")
    print(f"{'replicates':>10} {'subjects':>8} {'distribution':>12} {'ours':>7} {'width':>7} {'plain':>7} {'width':>7}")
    for each in covered:
        case = each.case
        kind = "skewed" if case.skewed else "normal"
        shares = f"{each.ours:7.1%} {each.width:7.4f} {each.subjects_only:7.1%} {each.width_subjects_only:7.4f}"
        print(f"{case.replicates:10} {case.subjects:8} {kind:>12} {shares}")
    print(f"\nany wrong verdict among {METHODS} comparisons, and power at {EFFECT} Dice")
    print(f"{'replicates':>10} {'subjects':>8} {'sd of replicates':>16} {'ours':>7} {'Wilcoxon':>8} {'power':>7}")
    for result in tested:
        case = result.case
        shares = f"{result.wrong:7.1%} {result.wrong_wilcoxon:8.1%} {result.power:7.1%}"
        print(f"{case.replicates:10} {case.subjects:8} {case.by_replicate:16} {shares}")


if __name__ == "__main__":
    main()
