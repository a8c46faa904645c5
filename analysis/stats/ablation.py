"""Conclusions of an ablation: the effect of changing one factor at a time."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.stats.comparisons import Comparison


def ablation_sentences(comparisons: Sequence[Comparison]) -> list[str]:
    """Return one sentence per base and column: the significant changes, and the range of all others.

    A change is significant when its Holm-adjusted p-value is below 0.05.
    """
    groups = dict.fromkeys((each.reference, each.column_title if each.column else "") for each in comparisons)
    found = []
    for reference, column in groups:
        own = [c for c in comparisons if c.reference == reference and (c.column_title if c.column else "") == column]
        known = [each for each in own if each.difference.estimate.known]
        significant = [each for each in known if each.significant]
        named = ", ".join(_change(each) for each in sorted(significant, key=lambda each: each.difference.estimate.mean))
        where = f"Compared with {reference}{f' at {column}' if column else ''}"
        text = f"{where}, {len(significant)} of {len(own)} changes are significant{f': {named}' if named else ''}."
        rest = [each.difference.estimate for each in known if each not in significant]
        if rest:
            low, high = min(each.low for each in rest), max(each.high for each in rest)
            text += f" The 95% intervals of the other changes span {low:+.3f} to {high:+.3f} Dice."
        found.append(text)
    return found


def _change(each: Comparison) -> str:
    estimate = each.difference.estimate
    return f"{each.row} ({estimate.mean:+.3f}, 95% CI {estimate.low:+.3f} to {estimate.high:+.3f})"
