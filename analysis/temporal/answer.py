"""Answer of a study over time: which pseudo-labels, and which networks are smooth and accurate."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.io.load import StudyResults
from analysis.stats.comparisons import p_value_text
from analysis.stats.power import SIGNIFICANCE
from analysis.temporal.claims import MEASURES, Claim, overlap_claims, pseudo_label_claims, smoothness_claims
from analysis.temporal.read import read_temporal


def temporal_sentences(results: StudyResults) -> list[str]:
    """Return the conclusions on pseudo-labels, smoothness and overlap, one sentence each; empty for other studies."""
    temporal = read_temporal(results)
    if temporal.empty:
        return []
    pseudo_labels = [claim for claim in pseudo_label_claims(temporal) if claim.measure.endswith(MEASURES["dice"])]
    groups = {
        "Pseudo-labels": pseudo_labels,
        "Smoothness over time": smoothness_claims(results, temporal),
        "Dice at end-diastole and end-systole": overlap_claims(results, temporal),
    }
    return [_sentence(topic, claims) for topic, claims in groups.items() if claims]


def _sentence(topic: str, claims: Sequence[Claim]) -> str:
    """Return the largest difference that is shown, and how many are."""
    shown = [claim for claim in claims if claim.p_holm < SIGNIFICANCE]
    counted = f"{len(claims)} comparison{'' if len(claims) == 1 else 's'}"
    if not shown:
        return f"{topic}: no difference is shown in {counted}."
    largest = max(shown, key=lambda claim: abs(claim.difference.estimate.mean))
    better = (largest.difference.estimate.mean < 0) == largest.lower_is_better
    verb, verdict = "differs" if len(shown) == 1 else "differ", "better" if better else "worse"
    return (
        f"{topic}: {len(shown)} of {counted} {verb}; the largest: {largest.first} is {verdict} than {largest.second} "
        f"in {largest.measure}, {largest.size}, {p_value_text(largest.p_holm)} after Holm."
    )
