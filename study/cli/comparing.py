"""`study best` and `study compare`: which configuration, and which of two studies."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
from rich.table import Table

from study.cli.app import Json, Root, RunName, app, out, workspace
from trainables.errors import UserError


@app.command()
def best(name: RunName, root: Root = None, as_json: Json = False) -> None:
    """Each cell's configuration, the best first by its replicates' validation metric; test data choose nothing."""
    from analysis.load import load

    results = load(workspace(root).existing_study(name))
    metric = f"val/{results.plan.metric}"
    found: list[dict[str, Any]] = []
    for cell in results.plan.cells:
        replicates = results.of_kind("replicate", cell)
        if metric not in replicates or replicates[metric].isna().all():
            continue
        trials = results.of_kind("trial", cell)
        chosen = trials[trials["index"] == results.chosen.get(cell)]
        params = {
            str(column).removeprefix("param/"): value
            for column, value in (chosen.iloc[0].items() if len(chosen) else ())
            if str(column).startswith("param/") and pd.notna(value)
        }
        found.append({"cell": cell, metric: float(replicates[metric].mean()), "params": params})
    if not found:
        raise UserError(f"study '{name}' has no finished replicate yet")
    found.sort(key=lambda row: -row[metric])
    if as_json:
        out.print_json(json.dumps(found))
        return
    table = Table("cell", metric, "settings", box=None, pad_edge=False)
    for row in found:
        settings = ", ".join(f"{path}={_short(value)}" for path, value in row["params"].items())
        table.add_row(row["cell"], f"{row[metric]:.4f}", settings or "as declared")
    out.print(table)


@app.command()
def compare(first: RunName, second: RunName, root: Root = None, as_json: Json = False) -> None:
    """Two studies in the cells that both have: test Dice, second minus first, paired by subject and replicate."""
    from analysis.comparisons import p_value_text
    from analysis.load import load
    from analysis.statistics import holm, paired_difference

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
