"""Tests of the papers' claims about temporal consistency on a study's own subjects."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from analysis.io.load import StudyResults
from analysis.stats.comparisons import p_value_text, shared_difference
from analysis.stats.intervals import DICE_RANGE, RANGES, Difference, holm, paired_difference
from analysis.stats.power import SIGNIFICANCE
from analysis.temporal.read import Temporal

MOST_DECADES = 3
"""Decimal logarithm of the largest ratio that is printed."""

MEASURES = {"dice": "Dice", "mean_absolute": "mm mean absolute distance"}


@dataclass(frozen=True)
class Claim:
    """Paired comparison of two methods, first minus second.

    Attributes:
        first: name of the first method.
        second: name of the second method.
        measure: name of the metric, in words.
        difference: paired difference with its interval.
        lower_is_better: direction of the metric.
        ratio: True where the difference is of decimal logarithms and is shown as a ratio.
        p_holm: p-value adjusted for all claims of one kind; NaN before the adjustment.
    """

    first: str
    second: str
    measure: str
    difference: Difference
    lower_is_better: bool
    ratio: bool = False
    p_holm: float = float("nan")

    @property
    def sentence(self) -> str:
        """One-sentence conclusion with interval, p-value and sample sizes."""
        estimate = self.difference.estimate
        better = (estimate.mean < 0) == self.lower_is_better
        verdict = "no difference is shown between"
        if self.p_holm < SIGNIFICANCE:
            verdict = "better:" if better else "worse:"
        counts = f"n = {estimate.n_subjects} subjects"
        if estimate.n_replicates > 1:
            counts += f", {estimate.n_replicates} replicates"
        p = f"{p_value_text(self.p_holm)} after Holm"
        names = f"{self.first} and {self.second}" if verdict.startswith("no") else f"{self.first} than {self.second}"
        return f"{self.measure}: {verdict} {names}, {self.size}, {p}; {counts}"

    @property
    def size(self) -> str:
        """Difference with its interval, as text."""
        estimate = self.difference.estimate
        values = [estimate.mean, estimate.low, estimate.high]
        if self.ratio:
            return "ratio {} (95% CI {} to {})".format(*map(_ratio, values))
        return "{:+.3f} (95% CI {:+.3f} to {:+.3f})".format(*values)


def _ratio(logarithm: float) -> str:
    """Return a ratio from its decimal logarithm; one that few subjects leave open in orders of magnitude as a bound."""
    if logarithm > MOST_DECADES:
        return f">{10**MOST_DECADES:,}"
    return f"{10**logarithm:.2f}" if logarithm >= -2 else "<0.01"


def pseudo_label_claims(temporal: Temporal) -> list[Claim]:
    """Compare bidirectional labels with each single direction by Dice and surface distance, averaged by subject."""
    found = []
    for _, table in temporal.quality.groupby("labels") if len(temporal.quality) else ():
        for measure, words in MEASURES.items():
            means = table.groupby(["direction", "subject"])[measure].mean().unstack("subject")
            means = means.dropna(axis="columns")
            for other in ("forward", "backward"):
                if {"bidirectional", other} <= set(means.index) and means.shape[1]:
                    pair = [means.loc[[name]].to_numpy(np.float64) for name in ("bidirectional", other)]
                    difference = paired_difference(pair[0], pair[1], possible=RANGES[measure])
                    title = f"pseudo-labels, {words}"
                    found.append(Claim("bidirectional", other, title, difference, measure != "dice"))
    return _adjusted(found)


def smoothness_claims(results: StudyResults, temporal: Temporal) -> list[Claim]:
    """Compare the smoothness of area curves (equation 2) of every pair of cells, as a ratio of geometric means."""
    found = []
    for structure in temporal.classes:
        for second, first in itertools.combinations(_cells(results, temporal), 2):
            a, b = (temporal.smoothness(cell, structure) for cell in (first, second))
            difference = shared_difference(a, b, results.starts_of(first, second))
            if difference is not None:
                measure = f"smoothness of {structure}"
                found.append(Claim(_title(results, first), _title(results, second), measure, difference, True, True))
    return _adjusted(found)


def overlap_claims(results: StudyResults, temporal: Temporal) -> list[Claim]:
    """Compare Dice at end-diastole and end-systole of every pair of cells."""
    found = []
    for second, first in itertools.combinations(_cells(results, temporal), 2):
        tables = results.dice(first), results.dice(second)
        starts = results.starts_of(first, second)
        difference = shared_difference(*tables, starts, possible=DICE_RANGE)
        if difference is not None:
            names = _title(results, first), _title(results, second)
            found.append(Claim(*names, "Dice at end-diastole and end-systole", difference, False))
    return _adjusted(found)


def _cells(results: StudyResults, temporal: Temporal) -> list[str]:
    """Return the cells with temporal results, in the study file's order."""
    measured = set(temporal.frames["cell"]) if len(temporal.frames) else set()
    return [cell for cell in results.plan.cells if cell in measured]


def _title(results: StudyResults, cell: str) -> str:
    return " ".join(results.plan.cells[cell].values()) or cell


def _adjusted(claims: list[Claim]) -> list[Claim]:
    adjusted = holm(np.array([claim.difference.p_value for claim in claims]))
    return [
        Claim(c.first, c.second, c.measure, c.difference, c.lower_is_better, c.ratio, float(p))
        for c, p in zip(claims, adjusted, strict=True)
    ]
