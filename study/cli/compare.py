"""`study compare`: compares the test Dice of two studies, cell by cell."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from study.cli.app import Json, Root, RunName, app, out, workspace
from study.cli.console import foldable
from study.word_table import WordTable
from trainables.common.errors import UserError

if TYPE_CHECKING:
    from analysis.io.load import StudyResults


@app.command()
def compare(first: RunName, second: RunName, root: Root = None, as_json: Json = False) -> None:
    """Compare the test Dice of two studies, cell by cell.

    For each cell that both have, prints the second study's Dice minus the first's, paired by test subject and
    replicate, with 95% confidence interval and Holm-corrected p-value.
    """
    from analysis.io.load import load

    place = workspace(root)
    rows = differences(*(load(place.existing_study(name)) for name in (first, second)))
    if not rows:
        raise UserError(f"'{first}' and '{second}' share no cell with results on the same test subjects and replicates")
    if as_json:
        out.print_json(json.dumps([{key: _finite(value) for key, value in row.items()} for row in rows]))
    else:
        _print(rows, f"{second} - {first}")


def differences(first: StudyResults, second: StudyResults) -> list[dict[str, Any]]:
    """Return the paired difference of each cell that both studies have results for."""
    import numpy as np

    from analysis.stats.comparisons import shared_difference
    from analysis.stats.intervals import DICE_RANGE, holm

    found = []
    for cell in first.plan.cells:
        if cell not in second.plan.cells:
            continue
        starts = [*second.starts_of(cell), *first.starts_of(cell)]
        difference = shared_difference(second.dice(cell), first.dice(cell), starts, possible=DICE_RANGE)
        if difference is not None:
            found.append((cell, difference))
    adjusted = holm(np.array([difference.p_value for _, difference in found]))
    return [
        {
            "cell": cell,
            "difference": difference.estimate.mean,
            "ci_low": difference.estimate.low,
            "ci_high": difference.estimate.high,
            "p_holm": float(p),
            "subjects": difference.estimate.n_subjects,
            "replicates": difference.estimate.n_replicates,
            "caveat": difference.estimate.caveat or difference.estimate.pretraining_caveat,
        }
        for (cell, difference), p in zip(found, adjusted, strict=True)
    ]


def _print(rows: Sequence[dict[str, Any]], title: str) -> None:
    from analysis.stats.comparisons import p_value_text

    table = WordTable(("cell", f"{title}: test Dice", "95% CI", "p (Holm)", "subjects", "replicates"))
    for row in rows:
        interval = f"{row['ci_low']:+.3f} to {row['ci_high']:+.3f}"
        p, counts = p_value_text(row["p_holm"]), (str(row["subjects"]), str(row["replicates"]))
        table.add_row(foldable(row["cell"], out), f"{row['difference']:+.3f}", interval, p, *counts)
    out.print(table)
    for caveat in dict.fromkeys(row["caveat"] for row in rows if row["caveat"]):
        out.print(f"Note: {caveat}.", markup=False)


def _finite(value: Any) -> Any:
    import math

    return None if isinstance(value, float) and not math.isfinite(value) else value
