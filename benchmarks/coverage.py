"""How often do the report's 95% intervals hold the truth?

`python -m benchmarks.coverage [--studies 1000]` simulates studies whose true mean is known: Dice of R replicates on S
test subjects, with effects of the replicate, of the subject and of both together, normal or as skewed as real Dice is
(a few subjects fail). It prints the share of studies whose interval holds the truth, beside that of the plain
percentile bootstrap over subjects, and the mean width of both.
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
    """A kind of study.

    Attributes:
        replicates: R.
        subjects: S.
        by_replicate: standard deviation of the replicates' effect, in Dice.
        by_subject: of the subjects' effect.
        by_both: of what is left.
        skewed: whether the subjects' effect is a gamma distribution's, with a long tail of failures.
    """

    replicates: int
    subjects: int
    by_replicate: float
    by_subject: float
    by_both: float
    skewed: bool = False


@dataclass(frozen=True)
class Coverage:
    """Of the case: shares of studies whose interval holds the truth, and mean widths."""

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
    """Scores `(R, S)` whose true mean is 0."""
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
    """Of one case."""
    random = np.random.default_rng(seed)
    held, widths = np.zeros(2), np.zeros(2)
    for _ in range(studies):
        scores = simulate(case, random)
        estimate = interval(scores, str(random.integers(2**31)), resamples=RESAMPLES)
        means = scores.mean(axis=0)
        drawn = means[random.integers(0, case.subjects, (RESAMPLES, case.subjects))].mean(axis=1)
        plain = np.quantile(drawn, [0.025, 0.975])
        for index, (low, high) in enumerate(((estimate.low, estimate.high), plain)):
            held[index] += low <= 0 <= high
            widths[index] += high - low
    return Coverage(case, *(held / studies).tolist(), *(widths / studies).tolist())


def main() -> None:
    """Print a line a case, and with --json all of it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    found = [coverage(case, arguments.studies, arguments.seed) for case in CASES]
    if arguments.json:
        print(json.dumps([asdict(each) for each in found], indent=1))
        return
    error = 100 * stats.norm.ppf(0.975) * np.sqrt(0.95 * 0.05 / arguments.studies)
    print(f"{arguments.studies} studies a case; chance alone moves 95.0% by {error:.1f} points")
    print(f"{'replicates':>10} {'subjects':>8} {'subjects are':>12} {'ours':>7} {'width':>7} {'plain':>7} {'width':>7}")
    for each in found:
        case = each.case
        kind = "skewed" if case.skewed else "normal"
        shares = f"{each.ours:7.1%} {each.width:7.4f} {each.subjects_only:7.1%} {each.width_subjects_only:7.4f}"
        print(f"{case.replicates:10} {case.subjects:8} {kind:>12} {shares}")


if __name__ == "__main__":
    main()
