"""Table of every measure of a cell's test results, with its confidence interval."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.io.load import StudyResults
from analysis.stats.comparisons import pretrainings_of
from analysis.stats.intervals import RANGES, Estimate, interval
from analysis.tables.table import Entry, Table
from trainables.metrics.case_metric import limits_of

_PLACES = ("job", "cell", "replicate", "subject", "row", "phase")


def measure_table(results: StudyResults) -> Table:
    """Return mean and 95% interval over subjects and replicates of each measure and class, in each cell.

    Distances are in mm; a measure that no subject has is left out.
    """
    found = {
        (cell, measure): estimate
        for cell in results.plan.cells
        for measure in _measures(results)
        if (estimate := measure_estimate(results, cell, measure)).n_subjects
    }
    rows = tuple(tuple(map(Entry, (*place, *_texts(estimate)))) for place, estimate in found.items())
    header = ("cell", "measure", "mean", "95% CI", "subjects", "replicates")
    notes = ("Subjects and replicates are random in the intervals. Distances in mm.",)
    data = [{"cell": cell, "measure": measure, **_values(each)} for (cell, measure), each in found.items()]
    return Table("Measures (mean, 95% CI)", header, rows, notes, pd.DataFrame(data))


def measure_estimate(results: StudyResults, cell: str, measure: str) -> Estimate:
    """Return a measure's mean over subjects and replicates with its interval; subjects without a value are dropped.

    Args:
        results: results of the study.
        cell: key of the cell.
        measure: column of `results.images`, such as "dice" or "hausdorff/lv"; the mean over its classes for a measure
            that has columns by class only, such as "hausdorff".
    """
    own, name = results.images[results.images["cell"] == cell], measure.partition("/")[0]
    classes = [measure] if measure in own.columns else [each for each in own.columns if each.startswith(f"{measure}/")]
    values = own.assign(value=own[classes].mean(axis="columns")).groupby(["replicate", "subject"], sort=False)["value"]
    table = values.mean().unstack().dropna(axis="columns")
    starts = pretrainings_of(table.index, results.starts_of(cell))
    possible = RANGES.get(name, limits_of(name))
    return interval(table.to_numpy(dtype=np.float64), starts, possible=possible)


def _measures(results: StudyResults) -> list[str]:
    known = {*_PLACES, *results.plan.factors}
    return [name for name in results.images.columns if name not in known]


def _values(estimate: Estimate) -> dict[str, float | int]:
    counts = {"subjects": estimate.n_subjects, "replicates": estimate.n_replicates}
    return {"mean": estimate.mean, "ci_low": estimate.low, "ci_high": estimate.high, **counts}


def _texts(estimate: Estimate) -> tuple[str, ...]:
    bounds = f"{estimate.low:.3f} to {estimate.high:.3f}" if estimate.known else "-"
    return f"{estimate.mean:.3f}", bounds, str(estimate.n_subjects), str(estimate.n_replicates)
