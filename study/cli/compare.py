"""`study best` and `study compare`: which configuration, and which of two studies."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from rich.table import Table

from study.cli.app import Json, Root, RunName, app, out, workspace
from study.config.search import OBJECTIVES
from trainables.common.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

    from analysis.io.load import StudyResults


@app.command()
def best(
    name: RunName,
    front: Annotated[bool, typer.Option("--front", help="Each cell's trials that no other beats in all.")] = False,
    root: Root = None,
    as_json: Json = False,
) -> None:
    """Each cell's configuration, the best first by its replicates' validation metric; test data choose nothing.

    With --front, of each cell the trials that no other beats in every objective of the search.
    """
    from analysis.io.load import load

    results = load(workspace(root).existing_study(name))
    if front:
        _show_fronts(results, as_json)
        return
    metric = f"val/{results.plan.metric}"
    found: list[dict[str, Any]] = []
    for cell in results.plan.cells:
        replicates = results.of_kind("replicate", cell)
        if metric not in replicates or replicates[metric].isna().all():
            continue
        trials = results.of_kind("trial", cell)
        chosen = trials[trials["index"] == results.chosen.get(cell)]
        params = _params(chosen.iloc[0]) if len(chosen) else {}
        found.append({"cell": cell, metric: float(replicates[metric].mean()), "params": params})
    if not found:
        raise UserError(f"study '{name}' has no finished replicate yet")
    found.sort(key=lambda row: -row[metric])
    if as_json:
        out.print_json(json.dumps(found))
        return
    _print(found, [metric])


def _show_fronts(results: StudyResults, as_json: bool) -> None:
    """Of every cell, the completed trials that no other beats."""
    from analysis.stats.pareto import pareto_front

    objectives = list(results.plan.objectives)
    found: list[dict[str, Any]] = []
    for cell in results.plan.cells:
        trials = results.of_kind("trial", cell)
        trials = trials[trials["status"] == "completed"].dropna(subset=objectives)
        if trials.empty:
            continue
        signs = np.array([-1.0 if OBJECTIVES[name] == "maximize" else 1.0 for name in objectives])
        best_ones = trials[pareto_front(trials[objectives].to_numpy(np.float64) * signs)]
        for _, trial in best_ones.sort_values(objectives[0], ascending=False).iterrows():
            place = {"cell": cell, "trial": int(trial["index"])}
            found.append({**place, **{name: float(trial[name]) for name in objectives}, "params": _params(trial)})
    if not found:
        raise UserError(f"study '{results.plan.name}' has no completed trial yet, or searches nothing")
    if as_json:
        out.print_json(json.dumps(found))
    else:
        _print(found, objectives)


def _params(trial: pd.Series[Any]) -> dict[str, Any]:
    import pandas as pd

    searched = ((str(column), value) for column, value in trial.items() if str(column).startswith("param/"))
    return {column.removeprefix("param/"): value for column, value in searched if pd.notna(value)}


def _print(rows: Sequence[dict[str, Any]], metrics: Sequence[str]) -> None:
    table = Table("cell", *metrics, "settings", box=None, pad_edge=False)
    for row in rows:
        settings = ", ".join(f"{path}={_short(value)}" for path, value in row["params"].items())
        table.add_row(row["cell"], *(f"{row[metric]:.4f}" for metric in metrics), settings or "as declared")
    out.print(table)


@app.command()
def compare(first: RunName, second: RunName, root: Root = None, as_json: Json = False) -> None:
    """Two studies in the cells that both have: test Dice, second minus first, paired by subject and replicate."""
    from analysis.io.load import load
    from analysis.stats.comparisons import p_value_text
    from analysis.stats.intervals import holm, paired_difference

    place = workspace(root)
    one, two = (load(place.existing_study(name)) for name in (first, second))
    found = []
    for cell in one.plan.cells:
        if cell not in two.plan.cells:
            continue
        a, b = two.dice(cell).align(one.dice(cell), join="inner")
        if not a.empty:
            found.append((cell, paired_difference(a.to_numpy(np.float64), b.to_numpy(np.float64), cell)))
    if not found:
        raise UserError(f"'{first}' and '{second}' share no cell with results on the same test subjects and replicates")
    adjusted = holm(np.array([difference.p_value for _, difference in found]))
    rows: list[dict[str, Any]] = [
        {
            "cell": cell,
            "difference": difference.estimate.mean,
            "ci_low": difference.estimate.low,
            "ci_high": difference.estimate.high,
            "p_holm": float(p),
            "subjects": difference.estimate.n_subjects,
            "replicates": difference.estimate.n_replicates,
        }
        for (cell, difference), p in zip(found, adjusted, strict=True)
    ]
    if as_json:
        out.print_json(json.dumps([{key: _finite(value) for key, value in row.items()} for row in rows]))
        return
    table = Table(
        "cell", f"{second} - {first}", "95% CI", "p (Holm)", "subjects", "replicates", box=None, pad_edge=False
    )
    for row in rows:
        interval = f"{row['ci_low']:+.3f} to {row['ci_high']:+.3f}"
        p, counts = p_value_text(row["p_holm"]), (str(row["subjects"]), str(row["replicates"]))
        table.add_row(row["cell"], f"{row['difference']:+.3f}", interval, p, *counts)
    out.print(table)


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not np.isfinite(value) else value
