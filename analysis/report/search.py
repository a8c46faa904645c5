"""Report section on a study's search."""

from __future__ import annotations

import re

from analysis.charts.search import history_chart, importance_chart, slice_chart
from analysis.figures.search import importance, parallel_coordinates, pareto, sensitivity
from analysis.io.load import StudyResults
from analysis.report.captions import caption
from analysis.report.section import Section, available
from analysis.stats.early_signal import early_signal
from analysis.stats.importance import MIN_TRIALS, Importances, importances
from analysis.stats.range_edges import range_edges
from analysis.tables.cells import chosen_table, short_names, trial_table
from analysis.tables.grid import Grid
from analysis.tables.importance import importance_table
from study.config.search import OBJECTIVES


def search_section(results: StudyResults, grid: Grid) -> Section:
    """Return chosen settings, their importance, and the trials of each column; empty where nothing is searched.

    Args:
        results: results of the study.
        grid: arrangement of the cells; settings are drawn for each of its columns.
    """
    title = "Search"
    if not results.plan.planned["trial"]:
        return Section(title)
    found, metric = importances(results, list(grid.cells.values())), results.plan.metric
    signs = {name: 1 if OBJECTIVES.get(name) == "minimize" else -1 for name in results.plan.objectives}
    tables = {
        "chosen": chosen_table(results),
        "importance": importance_table(found),
        "trials": trial_table(results),
    }
    names = {column: column_names(grid, column) for column in grid.columns}
    figures = {"importance": importance(found, metric)}
    figures |= {slices: sensitivity(results, grid, column) for column, (slices, _) in names.items()}
    figures |= {lines: parallel_coordinates(results, grid, column) for column, (_, lines) in names.items()}
    figures |= {"pareto": pareto(results, grid, signs)}
    charts = {"search_history": history_chart(results, grid), "importance": importance_chart(found, metric)}
    charts |= {slices: slice_chart(results, grid, column) for column, (slices, _) in names.items()}
    captions = {
        name: f"{caption(kind).removesuffix('.')}{grid.at(column)}."
        for column, pair in names.items()
        for kind, name in zip(("sensitivity", "parallel_coordinates"), pair, strict=True)
    }
    signal = early_signal(results)
    sentences = [importance_sentence(found, metric), *edge_sentences(results, found)]
    sentences += [signal.sentence] if signal is not None else []
    return Section(title, tuple(sentences), available(tables), available(figures), available(charts), captions)


def edge_sentences(results: StudyResults, found: Importances) -> list[str]:
    """Return a remark on each best value at an edge of its range, which says where the setting may not matter."""
    mattered = {each.setting for each in found.mattered}
    return [
        each.sentence if each.path in mattered else f"{each.sentence} That {each.setting} matters is not shown."
        for each in range_edges(results)
    ]


def column_names(grid: Grid, column: str) -> tuple[str, str]:
    """Return the file names of a column's figures of settings: sensitivity and parallel coordinates."""
    suffix = "" if len(grid.columns) == 1 else "_" + re.sub(r"[^\w.]+", "_", column)
    return f"sensitivity{suffix}", f"parallel_coordinates{suffix}"


def importance_sentence(found: Importances, metric: str) -> str:
    """Return which settings mattered in the search, or why none can be named."""
    if not found.shares:
        if found.completed < MIN_TRIALS:
            return (
                f"Which settings matter is not estimated: {found.sample} with all searched settings, at least "
                f"{MIN_TRIALS} are needed."
            )
        return "Which settings matter is not estimated: fewer than two of them varied, or all trials have one value."
    measure, chance = f"of the variance of validation {metric.capitalize()} within cells", f"{found.chance:.1%}"
    if not found.mattered:
        return (
            f"Which settings matter is not shown by {found.sample}: no setting's share {measure} clearly exceeds what "
            f"chance gives (up to {chance})."
        )
    short = short_names([each.setting for each in found.shares])
    named = [
        f"{short[each.setting]} ({each.share:.0%}, 95% CI {each.low:.0%} to {each.high:.0%})" for each in found.mattered
    ]
    rest = len(found.shares) - len(named)
    others = f" That others matter is not shown (settings: {rest})." if rest else ""
    return (
        f"What mattered in the search: {', '.join(named)} {measure}, over {found.sample}; chance gives up to {chance}."
        f"{others}"
    )
