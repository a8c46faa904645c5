"""Coverage of the report's 95% confidence intervals in simulated studies.

`python -m benchmarks.coverage [--studies 1000]` simulates studies whose true mean is known: Dice of R replicates on S
test subjects, with random effects of replicate, subject and their interaction, normal or as skewed as real Dice is
(a few subjects fail). It prints the share of studies whose interval contains the true mean, compared with the plain
percentile bootstrap over subjects, and the mean width of both intervals.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass

import numpy as np
from scipy import stats

from analysis.stats.intervals import Scores, interval

RESAMPLES = 1000


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


CASES = (
    Case(3, 50, 0.01, 0.06, 0.04),
    Case(5, 50, 0.01, 0.06, 0.04),
    Case(5, 100, 0.02, 0.06, 0.04),
    Case(8, 28, 0.01, 0.06, 0.04),
    Case(10, 200, 0.005, 0.08, 0.04),
    Case(5, 50, 0.0, 0.06, 0.04),
    Case(5, 100, 0.01, 0.08, 0.04, skewed=True),
    Case(1, 50, 0.0, 0.06, 0.04),
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
        estimate = interval(scores, str(random.integers(2**31)), resamples=RESAMPLES)
        means = scores.mean(axis=0)
        drawn = means[random.integers(0, case.subjects, (RESAMPLES, case.subjects))].mean(axis=1)
        plain = np.quantile(drawn, [0.025, 0.975])
        for index, (low, high) in enumerate(((estimate.low, estimate.high), plain)):
            covered[index] += low <= 0 <= high
            widths[index] += high - low
    return Coverage(case, *(covered / studies).tolist(), *(widths / studies).tolist())


def main() -> None:
    """Print one line for each case, or all results as JSON with `--json`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=1000, help="number of simulated studies for each case")
    parser.add_argument("--seed", type=int, default=0, help="seed of the simulation")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    arguments = parser.parse_args()
    found = [coverage(case, arguments.studies, arguments.seed) for case in CASES]
    if arguments.json:
        print(json.dumps([asdict(each) for each in found], indent=1))
        return
    error = 100 * stats.norm.ppf(0.975) * np.sqrt(0.95 * 0.05 / arguments.studies)
    print(f"{arguments.studies} studies for each case; simulation error at 95.0% coverage: {error:.1f} points")
    print(f"{'replicates':>10} {'subjects':>8} {'distribution':>12} {'ours':>7} {'width':>7} {'plain':>7} {'width':>7}")
    for each in found:
        case = each.case
        kind = "skewed" if case.skewed else "normal"
        shares = f"{each.ours:7.1%} {each.width:7.4f} {each.subjects_only:7.1%} {each.width_subjects_only:7.4f}"
        print(f"{case.replicates:10} {case.subjects:8} {kind:>12} {shares}")


if __name__ == "__main__":
    main()
