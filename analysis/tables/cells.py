"""Tables of a report: Dice by cell, differences from the reference, chosen hyperparameters, trial counts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from analysis.io.load import StudyResults
from analysis.stats.comparisons import Comparison, difference_of, estimate_of, p_value_text
from analysis.stats.intervals import Estimate
from analysis.tables.grid import Grid, arrange
from analysis.tables.table import Entry, Table
from trainables.common.learning import Learning

NO_VALUE = Entry("-")


def cell_table(results: StudyResults, rows: str | tuple[str, ...] | None = None, columns: str | None = None) -> Table:
    """Return mean test Dice and 95% interval of every cell.

    The best mean of each column is emphasized, with those whose paired interval against it includes zero.

    Args:
        results: results of the study.
        rows: factor or factors of the rows; None for all but the column factor.
        columns: factor of the columns; None for label_fraction or labels, else the last factor.
    """
    grid = arrange(results.plan, rows, columns)
    estimates = {place: estimate_of(results, cell) for place, cell in grid.cells.items()}
    strong = {place for column in grid.columns for place in _leaders(results, grid, column, estimates)}
    entries = {
        place: _estimate_entry(estimate, place in strong, results.learning.get(grid.cells[place]))
        for place, estimate in estimates.items()
    }
    body = tuple((Entry(row), *(entries.get((row, column), NO_VALUE) for column in grid.columns)) for row in grid.rows)
    data = [
        {
            **results.plan.cells[grid.cells[place]],
            "dice": estimate.mean,
            "ci_low": estimate.low,
            "ci_high": estimate.high,
            "subjects": estimate.n_subjects,
            "replicates": estimate.n_replicates,
            "best_or_tied": place in strong,
            "pretraining": learning.verdict if (learning := results.learning.get(grid.cells[place])) else "",
        }
        for place, estimate in estimates.items()
    ]
    header = (grid.row_header, *map(grid.column_title, grid.columns))
    notes = _notes(list(estimates.values()), strong)
    if any("[" in entry.text for row in body for entry in row[1:]):
        notes = (*notes, "In brackets: verdict on the pretraining that a cell starts from, unless it learned its task.")
    return Table("Test Dice (mean, 95% CI)", header, body, notes, pd.DataFrame(data))


def difference_table(comparisons: list[Comparison]) -> Table:
    """Return every comparison with the reference: difference, interval, p-value, and Holm-adjusted p-value."""
    given = any(comparison.difference.estimate.given for comparison in comparisons)
    header = ("comparison", "labels or level", "difference in Dice", *(["given the pretrainings"] if given else []))
    header = (*header, "d", "p", "p (Holm)", "subjects", "replicates")
    body, data = [], []
    for comparison in comparisons:
        difference = comparison.difference
        estimate, p, effect = difference.estimate, difference.p_value, difference.effect
        body.append(
            (
                Entry(f"{comparison.row} - {comparison.reference}"),
                Entry(comparison.column_title),
                difference_entry(comparison),
                *([Entry(_given(estimate))] if given else []),
                Entry("-" if np.isnan(effect) else f"{effect:+.2f}"),
                p_entry(p),
                p_entry(comparison.p_holm),
                Entry(str(estimate.n_subjects)),
                Entry(str(estimate.n_replicates)),
            )
        )
        data.append(
            {
                "row": comparison.row,
                "reference": comparison.reference,
                "column": comparison.column,
                "difference": estimate.mean,
                "ci_low": estimate.low,
                "ci_high": estimate.high,
                "effect": effect,
                "p": p,
                "p_holm": comparison.p_holm,
                "subjects": estimate.n_subjects,
                "replicates": estimate.n_replicates,
                "pretrainings": estimate.n_pretrainings,
                "given_low": estimate.given[0] if estimate.given else np.nan,
                "given_high": estimate.given[1] if estimate.given else np.nan,
            }
        )
    notes = (
        "Paired on subjects and replicates. 95% interval and p from one model in which both are random, as are "
        "pretrainings where there are several. d: Cohen's d of the subjects' mean differences. Bold: p (Holm) < 0.05.",
        *(["Given the pretrainings: 95% interval for these very pretrainings, not for others like them."] * given),
        *_caveats([comparison.difference.estimate for comparison in comparisons]),
    )
    columns = ["row", "reference", "column", "difference", "ci_low", "ci_high", "effect", "p", "p_holm"]
    columns += ["subjects", "replicates", "pretrainings", "given_low", "given_high"]
    return Table("Differences from the reference", header, tuple(body), notes, pd.DataFrame(data, columns=columns))


def difference_entry(comparison: Comparison) -> Entry:
    """Return a difference with its interval; bold where it is significant."""
    estimate = comparison.difference.estimate
    bounds = f" ({estimate.low:+.3f} to {estimate.high:+.3f})" if estimate.known else ""
    return Entry(f"{estimate.mean:+.3f}{bounds}", strong=comparison.significant)


def p_entry(p: float) -> Entry:
    """Return a p-value as it stands in a column of them."""
    return Entry(p_value_text(p).removeprefix("p ").removeprefix("= "))


def _given(estimate: Estimate) -> str:
    return "-" if estimate.given is None else "{:+.3f} to {:+.3f}".format(*estimate.given)


def chosen_table(results: StudyResults) -> Table:
    """Return the hyperparameters that each cell's search chose, with their validation score."""
    score = f"val/{results.plan.metric}"
    chosen = ((cell, results.chosen.get(cell)) for cell in results.plan.cells)  # in the plan's order
    rows = [_chosen_row(results, cell, index) for cell, index in chosen if index is not None]
    named = [name for row in rows for name in row if name.startswith("param/")]
    columns = [*results.plan.factors, "trial", *dict.fromkeys(named), score]
    data = pd.DataFrame(rows, columns=columns)
    body = tuple(tuple(Entry(_plain(row.get(name))) for name in columns) for row in rows)
    short = short_names([name.removeprefix("param/") for name in dict.fromkeys(named)])
    titles = {**short, score: f"{score} of the trial"}
    header = tuple(titles.get(name.removeprefix("param/"), name) for name in columns)
    note = "Chosen on the validation split only." if rows else "No search has finished, or the study searches nothing."
    return Table("Chosen hyperparameters", header, body, (note,), data)


def short_names(paths: list[str]) -> dict[str, str]:
    """Return the shortest clear suffix of each dotted path: no other's, and not the place in a list alone.

    Example:
        >>> short_names(["fit.optimizer.lr", "augment.strength", "crop.area.0"])
        {'fit.optimizer.lr': 'lr', 'augment.strength': 'strength', 'crop.area.0': 'area.0'}
    """

    def end(path: str, parts: int) -> str:
        return ".".join(path.split(".")[-parts:])

    def parts(path: str) -> int:
        depth = path.count(".") + 1
        others = [other for other in paths if other != path]
        clear = (n for n in range(1, depth) if not end(path, n)[0].isdecimal())
        return next((n for n in clear if end(path, n) not in {end(other, n) for other in others}), depth)

    return {path: end(path, parts(path)) for path in paths}


def _chosen_row(results: StudyResults, cell: str, index: int) -> dict[str, Any]:
    trials = results.of_kind("trial", cell)
    found = trials[trials["index"] == index].dropna(axis="columns", how="all")
    values = {str(name): value for name, value in found.iloc[0].items()} if len(found) else {}
    return {**results.plan.cells[cell], "trial": index, **values}


def trial_table(results: StudyResults) -> Table:
    """Return the number of completed, pruned (censored) and failed trials of each cell."""
    data = pd.DataFrame([_trial_row(results, cell) for cell in results.plan.cells])
    body = tuple(tuple(Entry(str(value)) for value in row) for row in data.itertuples(index=False))
    header = (*results.plan.factors, "completed", "stopped early", "failed")
    notes = ("Trials stopped early by the pruner are censored: their final value is unknown.",)
    return Table("Trials", header, body, notes, data)


def _trial_row(results: StudyResults, cell: str) -> dict[str, Any]:
    counts = results.of_kind("trial", cell)["status"].value_counts()
    statuses = ("completed", "stopped", "failed")
    return {**results.plan.cells[cell], **{status: int(counts.get(status, 0)) for status in statuses}}


def _leaders(
    results: StudyResults, grid: Grid, column: str, estimates: dict[tuple[str, str], Estimate]
) -> set[tuple[str, str]]:
    """Return a column's best entry and those tied with it; empty when fewer than two have an interval."""
    places = [(r, column) for r in grid.rows if (r, column) in estimates and estimates[r, column].known]
    if len(places) < 2:
        return set()
    best = max(places, key=lambda place: estimates[place].mean)
    return {best} | {place for place in places if place != best and _tied(results, grid, best, place)}


def _tied(results: StudyResults, grid: Grid, best: tuple[str, str], place: tuple[str, str]) -> bool:
    difference = difference_of(results, grid, best, place)
    return difference is not None and difference.estimate.known and not difference.estimate.excludes_zero


def _estimate_entry(estimate: Estimate, strong: bool, learning: Learning | None) -> Entry:
    """Return the mean with its interval, and the verdict on the cell's pretraining unless it learned its task."""
    if estimate.n_replicates == 0 or estimate.n_subjects == 0:
        return NO_VALUE
    bounds = f" ({estimate.low:.3f} to {estimate.high:.3f})" if estimate.known else ""
    verdict = f" [{learning.verdict}]" if learning is not None and learning.verdict != "learned" else ""
    return Entry(f"{estimate.mean:.3f}{bounds}{verdict}", strong)


def _notes(estimates: list[Estimate], strong: set[tuple[str, str]]) -> tuple[str, ...]:
    measured = [estimate for estimate in estimates if estimate.n_subjects and estimate.n_replicates]
    if not measured:
        return ("No results yet.",)
    notes = [
        f"Test subjects: {_span([e.n_subjects for e in measured])}. Replicates per cell: "
        f"{_span([e.n_replicates for e in measured])}. Both are random in the intervals."
    ]
    if strong:
        notes.append("Bold: best of its column, or its paired 95% interval to the best includes zero.")
    return (*notes, *_caveats(measured))


def _caveats(estimates: list[Estimate]) -> list[str]:
    found = [caveat for estimate in estimates for caveat in (estimate.caveat, estimate.pretraining_caveat)]
    return [f"Note: {caveat}." for caveat in dict.fromkeys(found) if caveat]


def _span(numbers: list[int]) -> str:
    low, high = min(numbers), max(numbers)
    return str(low) if low == high else f"{low} to {high}"


def _plain(value: Any) -> str:
    if isinstance(value, float):
        return "" if pd.isna(value) else f"{value:.4g}"
    return "" if value is None else str(value)
