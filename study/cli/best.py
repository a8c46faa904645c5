"""`study best`: prints the best configuration of each cell."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from study.cli.app import Json, Root, RunName, app, out, workspace
from study.cli.console import foldable
from study.word_table import WordTable
from trainables.common.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

    from analysis.io.load import StudyResults


@app.command()
def best(
    name: RunName,
    pareto: Annotated[
        bool, typer.Option("--pareto-front", help="Print each cell's Pareto-optimal trials for all objectives.")
    ] = False,
    root: Root = None,
    as_json: Json = False,
) -> None:
    """Print the chosen configuration of each cell, best first.

    Cells are sorted by the mean validation metric of their replicates. Test results are not used. With
    --pareto-front, print the completed trials that no other trial dominates.
    """
    from analysis.io.load import load

    results = load(workspace(root).existing_study(name))
    metrics, found = pareto_trials(results) if pareto else chosen_configurations(results)
    if as_json:
        out.print_json(json.dumps(found))
    elif pareto:
        _print(found, {"trial": "trial", **{metric: f"{metric} of the trial" for metric in metrics}})
    else:
        _print(found, {metric: f"{metric}, mean of the replicates" for metric in metrics})


def chosen_configurations(results: StudyResults) -> tuple[list[str], list[dict[str, Any]]]:
    """Return the metric's name, and one row for each cell with a finished replicate, best first.

    Raises:
        UserError: no replicate has finished, or none was validated.
    """
    metric = f"val/{results.plan.metric}"
    found: list[dict[str, Any]] = []
    for cell in results.plan.cells:
        replicates = results.of_kind("replicate", cell)
        if metric not in replicates or replicates[metric].isna().all():
            continue
        trials = results.of_kind("trial", cell)
        chosen = trials[trials["index"] == results.chosen.get(cell)]
        params = _params(chosen.iloc[0]) if len(chosen) else {}
        scores = replicates[metric].dropna()
        found.append({"cell": cell, metric: float(scores.mean()), "replicates": len(scores), "params": params})
    if not found:
        raise UserError(f"study '{results.plan.name}' {_reason(results, metric)}")
    return [metric], sorted(found, key=lambda row: -row[metric])


def best_cell(results: StudyResults) -> str:
    """Return the key of the cell with the best mean validation metric of its replicates.

    Raises:
        UserError: no replicate has finished, or none was validated.
    """
    return str(chosen_configurations(results)[1][0]["cell"])


def _reason(results: StudyResults, metric: str) -> str:
    """Return why no cell has a validation metric."""
    done = results.of_kind("replicate")
    if (done["status"] == "completed").any():
        fix = f"read study report {results.plan.name}, and name a cell (--cell) where a command takes one"
        return f"has no {metric} to order its cells by (downstream.validation: none). Fix: {fix}"
    return "has no finished replicate yet"


def pareto_trials(results: StudyResults) -> tuple[list[str], list[dict[str, Any]]]:
    """Return the objectives' names, and one row for each Pareto-optimal completed trial, cell by cell.

    Raises:
        UserError: no trial has completed.
    """
    import numpy as np

    from analysis.stats.pareto import pareto_front
    from study.config.search import OBJECTIVES

    objectives = list(results.plan.objectives)
    signs = np.array([-1.0 if OBJECTIVES[name] == "maximize" else 1.0 for name in objectives])
    found: list[dict[str, Any]] = []
    for cell in results.plan.cells:
        trials = results.of_kind("trial", cell)
        trials = trials[trials["status"] == "completed"].dropna(subset=objectives)
        if trials.empty:
            continue
        front = trials[pareto_front(trials[objectives].to_numpy(np.float64) * signs)]
        for _, trial in front.sort_values(objectives[0], ascending=False).iterrows():
            row = {"cell": cell, "trial": int(trial["index"])}
            found.append({**row, **{name: float(trial[name]) for name in objectives}, "params": _params(trial)})
    if not found:
        raise UserError(f"study '{results.plan.name}' has no completed trial yet, or no search space")
    return objectives, found


def _params(trial: pd.Series[Any]) -> dict[str, Any]:
    import pandas as pd

    searched = ((str(column), value) for column, value in trial.items() if str(column).startswith("param/"))
    return {column.removeprefix("param/"): value for column, value in searched if pd.notna(value)}


def _print(rows: Sequence[dict[str, Any]], columns: Mapping[str, str]) -> None:
    """Print a table of cells, of the given columns with their titles, and of the searched settings."""
    table = WordTable(("cell", *columns.values(), "settings"))
    for row in rows:
        settings = ", ".join(f"{path}={_short(value, 'g')}" for path, value in row["params"].items())
        values = (_short(row[column], "f") for column in columns)
        table.add_row(foldable(row["cell"], out), *values, settings or "(as in the study file)")
    out.print(table)


def _short(value: object, form: str) -> str:
    return f"{value:.4{form}}" if isinstance(value, float) else str(value)
