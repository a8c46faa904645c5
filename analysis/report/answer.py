"""Answer of a study in up to three sentences: which start, how few labels, which settings."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.io.load import StudyResults
from analysis.stats.comparisons import Comparison
from analysis.stats.minimal_labels import MinimalLabels
from analysis.tables.cells import chosen_settings
from analysis.tables.grid import Grid


def answer(
    results: StudyResults, grid: Grid, comparisons: Sequence[Comparison], fewest: Sequence[MinimalLabels]
) -> list[str]:
    """Return the answer's sentences; none for a part that the study does not ask or cannot tell yet.

    Args:
        results: results of the study.
        grid: arrangement of its cells.
        comparisons: comparisons with the reference.
        fewest: fewest labels that are enough, by row.
    """
    known = [comparison for comparison in comparisons if comparison.difference.estimate.known]
    sentences = [_which_start(known)] if known else []
    best = _best_row(results, grid)
    sentences += [each.sentence(grid).partition("; ")[0] for each in fewest if each.row == best][:1]
    settings = chosen_settings(results, grid.cells.get((best, grid.columns[-1]), ""))
    if settings:
        title = " ".join(filter(None, (best, grid.column_title(grid.columns[-1]) if grid.column_factor else "")))
        sentences.append(f"The search chose for {title}: {settings}.")
    return [sentence if sentence.endswith(".") else f"{sentence}." for sentence in sentences]


def _which_start(comparisons: Sequence[Comparison]) -> str:
    """Return the largest significant difference in words; without one, the largest of all."""
    shown = [comparison for comparison in comparisons if comparison.significant]
    top = max(shown or comparisons, key=lambda comparison: abs(comparison.difference.estimate.mean))
    if not shown:
        count = "the only comparison" if len(comparisons) == 1 else f"none of {len(comparisons)} comparisons"
        estimate, where = top.difference.estimate, f" at {top.column_title}" if top.column else ""
        size = f"{estimate.mean:+.3f} Dice (95% CI {estimate.low:+.3f} to {estimate.high:+.3f})"
        largest = f"the largest difference is {top.row} - {top.reference}{where}, {size}"
        return f"No start is shown to differ from its reference ({count}): {largest}"
    more = f" ({len(shown)} of {len(comparisons)} comparisons show a difference)" if len(comparisons) > 1 else ""
    return f"{top.sentence}{more}"


def _best_row(results: StudyResults, grid: Grid) -> str:
    """Return the row with the highest mean Dice in the last column; "" without results."""
    means = {}
    for row in grid.rows:
        cell = grid.cells.get((row, grid.columns[-1]))
        table = results.dice(cell) if cell is not None else None
        if table is not None and table.size:
            means[row] = float(table.to_numpy().mean())
    return max(means, key=means.__getitem__, default="")
