"""What changes when one thing is taken away, or added, at a time."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.stats.comparisons import SIGNIFICANCE, Comparison


def ablation_sentences(comparisons: Sequence[Comparison]) -> list[str]:
    """For each base, in each column: which changes are certain after Holm's correction, and how far the rest reach.

    Certain are those whose interval excludes zero too.
    """
    groups = dict.fromkeys((each.reference, each.column_title if each.column else "") for each in comparisons)
    found = []
    for reference, column in groups:
        own = [c for c in comparisons if c.reference == reference and (c.column_title if c.column else "") == column]
        known = [each for each in own if each.difference.estimate.known]
        certain = [each for each in known if each.p_holm < SIGNIFICANCE and each.difference.estimate.excludes_zero]
        named = ", ".join(_change(each) for each in sorted(certain, key=lambda each: each.difference.estimate.mean))
        where = f"Against {reference}{f' at {column}' if column else ''}"
        text = f"{where}, {len(certain)} of {len(own)} changes are certain{f': {named}' if named else ''}."
        rest = [each.difference.estimate for each in known if each not in certain]
        if rest:
            low, high = min(each.low for each in rest), max(each.high for each in rest)
            text += f" Of the others all that is known is that they are between {low:+.3f} and {high:+.3f} Dice."
        found.append(text)
    return found


def _change(each: Comparison) -> str:
    estimate = each.difference.estimate
    return f"{each.row} ({estimate.mean:+.3f}, 95% CI {estimate.low:+.3f} to {estimate.high:+.3f})"
