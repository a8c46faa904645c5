"""Number of replicates and test subjects that would settle an undecided comparison, in words."""

from __future__ import annotations

from analysis.stats.intervals import Difference
from analysis.stats.power import MAX_RUNS, MAX_SUBJECTS, POWER, SIGNIFICANCE, sample_needed


def needed_text(difference: Difference, distance: float, tests: int = 1) -> str:
    """Return how many replicates, or test subjects, would show a difference; "" where that cannot be told.

    Args:
        difference: undecided difference, whose variances are those of the sample to plan.
        distance: difference to show, above 0.
        tests: number of tests that share the significance level, of which Holm's adjustment grants each a part.
    """
    if difference.parts is None:
        one = difference.estimate.n_replicates == 1 and difference.estimate.n_subjects > 1
        return "one replicate does not tell how many would do" if one else ""
    noun = "pretrainings" if difference.estimate.n_pretrainings > 1 else "replicates"
    with_power = f"would show {distance:.3f} Dice with {POWER:.0%} power"
    sample = sample_needed(difference.parts, distance, SIGNIFICANCE / max(tests, 1))
    if sample is None:
        return f"not even {MAX_RUNS} {noun} on {MAX_SUBJECTS:,} test subjects {with_power}"
    if sample.more_subjects:
        more = f"about {sample.runs} {noun} on about {sample.subjects:,} test subjects"
        return f"not even {MAX_RUNS} {noun} on these test subjects {with_power}; {more} would"
    if sample.more_runs:
        return f"about {sample.runs} {noun} {with_power}"
    return f"these {sample.runs} {noun} {with_power}"
