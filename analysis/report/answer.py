"""Answer of a study in at most three sentences: the start, the labels and the settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from analysis.io.load import StudyResults
from analysis.stats.ablation import ablation_sentences
from analysis.stats.comparisons import Comparison, compare
from analysis.stats.minimal_labels import MARGIN, MinimalLabels, minimal_labels
from analysis.stats.pairs import best_probabilities, best_sentences
from analysis.stats.trials import PREFIX
from analysis.tables.cells import short_names
from analysis.tables.grid import Grid
from analysis.temporal.answer import temporal_sentences

MOST_SETTINGS = 4
"""Largest number of chosen settings that the answer names; the table has all."""


def answer_sentences(results: StudyResults, grid: Grid, margin: float = MARGIN) -> list[str]:
    """Return which start is better and how sure that is, how few labels are enough, and which settings were chosen.

    A finished study over time is answered by its pseudo-labels, smoothness and overlap instead.

    Args:
        results: results of the study.
        grid: arrangement of the cells.
        margin: non-inferiority margin in Dice, above 0.
    """
    if results.subjects.empty:
        return ["No answer yet: no replicate has finished."]
    over_time = temporal_sentences(results)
    if over_time and not results.missing:
        return over_time
    start = start_sentence(results, grid)
    start = f"So far: {start.replace('No ', 'no ', 1)}" if results.missing else start
    return [start, labels_sentence(results, grid, margin), settings_sentence(results)]


def start_sentence(results: StudyResults, grid: Grid) -> str:
    """Return the comparisons of the starts in one sentence: by how much they differ, and how sure that is."""
    comparisons = compare(results, grid)
    known = [each for each in comparisons if each.difference.estimate.known]
    changes = ablation_sentences(known) if results.plan.base else []
    if len(changes) == 1:
        first, _, _ = changes[0].partition(". ")
        return f"{first.removesuffix('.')}."
    if len(comparisons) == 1:
        return f"{_capital(_short(comparisons[0]))}."
    if known:
        return _compared(known)
    best = best_sentences(results, grid, best_probabilities(results, grid))
    if best:
        return best[0] if len(best) == 1 else " ".join(each.removesuffix(".") + ";" for each in best)[:-1] + "."
    return "No start can be compared with another yet."


def labels_sentence(results: StudyResults, grid: Grid, margin: float = MARGIN) -> str:
    """Return how few labels are enough for which rows, or why that is not known."""
    found = minimal_labels(results, grid, margin)
    if not found:
        return f"How few labels are enough is not known: {_no_amounts(results, grid)}."
    groups: dict[str, list[str]] = {}
    for each in found:
        groups.setdefault(_enough(each, grid), []).append(each.row)
    if len(groups) == 1:
        parts = [next(iter(groups))]
    else:
        parts = [f"{text} for {listed(rows)}" for text, rows in groups.items()]
    most = grid.column_title(found[0].most)
    return f"{_capital('; '.join(parts))} (compared with {most}, non-inferiority margin {margin:g} Dice)."


def settings_sentence(results: StudyResults) -> str:
    """Return the settings that the search chose, with their range over the searched cells."""
    if not results.plan.planned.get("trial", 0):
        return "No setting was searched."
    trials = results.of_kind("trial")
    choices = [(cell, index) for cell, index in results.chosen.items() if index is not None]
    found = [trials[(trials["cell"] == cell) & (trials["index"] == index)] for cell, index in choices]
    chosen = [each.iloc[-1] for each in found if len(each)]
    names = [name for name in trials.columns if str(name).startswith(PREFIX) and any(pd.notna(t[name]) for t in chosen)]
    if not names:
        return "No search has finished."
    short = short_names([str(name).removeprefix(PREFIX) for name in names])
    values = {short[str(name).removeprefix(PREFIX)]: [t[name] for t in chosen if pd.notna(t[name])] for name in names}
    where = "The" if len(chosen) == 1 else f"In {len(chosen)} cells the"
    return f"{where} search chose {_settings(values)}."


def _compared(known: Sequence[Comparison]) -> str:
    """Return how many comparisons show a difference, with the largest, or the range of all where none does."""
    significant = [each for each in known if each.significant]
    if not significant:
        estimates = [each.difference.estimate for each in known]
        low, high = min(each.mean for each in estimates), max(each.mean for each in estimates)
        bounds = f"{min(each.low for each in estimates):+.3f} to {max(each.high for each in estimates):+.3f}"
        references = list(dict.fromkeys(each.reference for each in known))
        counted = references[0] if len(references) == 1 else "the references"
        return (
            f"No difference from {counted} is shown in {len(known)} comparisons: {low:+.3f} to {high:+.3f} Dice "
            f"(95% CIs from {bounds})."
        )
    largest = max(significant, key=lambda each: abs(each.difference.estimate.mean))
    worse = sum(each.difference.estimate.mean < 0 for each in significant)
    counts = f"{len(significant)} of {len(known)} comparisons show a difference"
    counts += f" ({worse} of them a worse result)" if worse else ""
    return f"{counts}; the largest: {_short(largest)}."


def _short(comparison: Comparison) -> str:
    """Return a comparison's sentence without sample sizes, but with its remarks."""
    head, _, _ = comparison.sentence.partition("; ")
    estimate = comparison.difference.estimate
    remarks = (comparison.caution, estimate.caveat, estimate.pretraining_caveat)
    return head + "".join(f" ({remark})" for remark in dict.fromkeys(remarks) if remark)


def _enough(each: MinimalLabels, grid: Grid) -> str:
    if each.fewest is None:
        return "no number of labels can be named, as fewer reach more Dice,"
    if each.fewest == each.most:
        return "fewer labels are not shown to be enough"
    counts = f" ({each.labels[each.fewest]})" if each.fewest in each.labels else ""
    return f"{grid.column_title(each.fewest)}{counts} is enough"


def _no_amounts(results: StudyResults, grid: Grid) -> str:
    if not grid.label_amounts:
        counts = set(results.plan.labels.values())
        return f"all cells use {next(iter(counts))}" if len(counts) == 1 else "the amount of labels is no column here"
    return "the study has one amount of labels" if len(grid.columns) == 1 else "too few replicates have finished"


def _settings(values: Mapping[str, Sequence[Any]]) -> str:
    named = [f"{name} {_range(found)}" for name, found in list(values.items())[:MOST_SETTINGS]]
    rest = len(values) - len(named)
    return ", ".join(named) + (f" and {rest} more" if rest else "")


def _range(found: Sequence[Any]) -> str:
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in found):
        low, high = f"{min(found):.3g}", f"{max(found):.3g}"
        return low if low == high else f"{low} to {high}"
    return " or ".join(dict.fromkeys(map(str, found)))


def listed(names: Sequence[str], most: int = 4) -> str:
    """Return names as a phrase; those with a comma are quoted.

    Example:
        >>> listed(["random", "simclr, slow"])
        'random and "simclr, slow"'
    """
    shown = [f'"{name}"' if "," in name else name for name in names[:most]]
    shown += [f"{len(names) - most} others"] if len(names) > most else []
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def _capital(text: str) -> str:
    """Return a sentence with a capital first letter; the name of a level keeps its own."""
    known = ("no ", "fewer ")
    return text[0].upper() + text[1:] if text.startswith(known) else text
