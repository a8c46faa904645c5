"""Temporal tables: the paper's Tables 1 and 2, and the smoothness of its Figure 3."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from analysis.io.load import StudyResults
from analysis.stats.comparisons import pretrainings_of
from analysis.stats.intervals import RANGES, interval
from analysis.tables.table import Entry, Table
from analysis.temporal.read import Temporal
from trainables.metrics.clinical import agreement

PHASES = ("ED", "ES")
VOLUMES = {"edv": "EDV (mL)", "esv": "ESV (mL)", "ef": "EF (%)"}


def phase_table(results: StudyResults) -> Table | None:
    """Return Dice, Hausdorff and mean absolute distance (mm) of each structure at end-diastole and end-systole."""
    images = results.images
    structures = [name.partition("/")[2] for name in images.columns if name.startswith("hausdorff/")]
    if images.empty or not structures or not set(PHASES) <= set(images["phase"]):
        return None
    measures = {"dice": "Dice", "hausdorff": "HD", "mean_absolute": "MAD"}
    data, body = [], []
    for phase in PHASES:
        for cell, levels in results.plan.cells.items():
            own = images[(images["cell"] == cell) & (images["phase"] == phase)]
            if own.empty:
                continue
            means = own.groupby("subject").mean(numeric_only=True).mean()
            values = {f"{m}/{s}": float(means[f"{m}/{s}"]) for s in structures for m in measures}
            data.append({"phase": phase, "cell": cell, **values})
            shown = [f"{value:.3f}" if name.startswith("dice") else f"{value:.1f}" for name, value in values.items()]
            body.append((Entry(f"{phase} {' '.join(levels.values())}"), *(map(Entry, shown))))
    header = ("phase and cell", *(f"{structure} {words}" for structure in structures for words in measures.values()))
    notes = ("Means over subjects, replicates averaged; distances in mm, between outlines of the stored pixels.",)
    return Table("Segmentation at end-diastole and end-systole", header, tuple(body), notes, pd.DataFrame(data))


def volume_table(results: StudyResults, temporal: Temporal) -> Table | None:
    """Return the agreement of Simpson volumes and ejection fraction with those of the reference masks."""
    if temporal.volumes.empty:
        return None
    data, body = [], []
    for cell, levels in results.plan.cells.items():
        own = temporal.volumes[temporal.volumes["cell"] == cell]
        if own.empty:
            continue
        row: dict[str, Any] = {"cell": cell}
        for name in VOLUMES:
            each = [
                agreement(part[f"true_{name}"].to_numpy(), part[f"predicted_{name}"].to_numpy())
                for _, part in own.groupby("replicate")
            ]
            for measure in ("correlation", "bias", "mae"):
                known = [value for a in each if np.isfinite(value := getattr(a, measure))]
                row[f"{name}/{measure}"] = float(np.mean(known)) if known else float("nan")
        data.append(row)
        cells = [f"{row[f'{n}/{m}']:.2f}" for n in VOLUMES for m in ("correlation", "bias", "mae")]
        body.append((Entry(" ".join(levels.values()) or cell), *map(Entry, cells)))
    header = ("cell", *(f"{words} {measure}" for words in VOLUMES.values() for measure in ("corr", "bias", "MAE")))
    views = ", ".join(sorted(set(temporal.volumes["view"])))
    count = temporal.volumes["subject"].nunique()
    note = f"Simpson's method on {views}, compared with reference masks. {count} subjects, replicates averaged."
    return Table("Volumes and ejection fraction", header, tuple(body), (note,), pd.DataFrame(data))


def smoothness_table(results: StudyResults, temporal: Temporal) -> Table | None:
    """Return the geometric mean over subjects of the smoothness of each structure's area curve; lower is smoother."""
    if temporal.frames.empty:
        return None
    data, body = [], []
    for cell, levels in results.plan.cells.items():
        entries = []
        for structure in temporal.classes:
            logs = temporal.smoothness(cell, structure)
            found = interval(logs.to_numpy(np.float64), pretrainings_of(logs.index, results.starts_of(cell)))
            data.append(
                {
                    "cell": cell,
                    "class": structure,
                    "smoothness": 10**found.mean,
                    "ci_low": 10**found.low,
                    "ci_high": 10**found.high,
                }
            )
            entries.append(Entry(f"{10**found.mean:.3g} ({10**found.low:.3g} to {10**found.high:.3g})"))
        body.append((Entry(" ".join(levels.values()) or cell), *entries))
    note = "Integral of the squared second derivative of the area, mm^4 (pixels where spacing is unknown); per frame."
    return Table("Temporal smoothness", ("cell", *temporal.classes), tuple(body), (note,), pd.DataFrame(data))


def quality_table(temporal: Temporal) -> Table | None:
    """Return the agreement of pseudo-labels with reference masks, by direction and structure."""
    if temporal.quality.empty:
        return None
    data, body = [], []
    measures = {"dice": "Dice", "mean_absolute": "MAD (mm)", "hausdorff": "HD (mm)"}
    for (direction, structure), table in temporal.quality.groupby(["direction", "class"]):
        row, entries = {"direction": direction, "class": structure}, []
        for measure in measures:
            means = table.groupby("subject")[measure].mean().dropna()
            found = interval(means.to_numpy(np.float64)[None], possible=RANGES[measure])
            row |= {measure: found.mean, f"{measure}_low": found.low, f"{measure}_high": found.high}
            entries.append(Entry(f"{found.mean:.3f} ({found.low:.3f} to {found.high:.3f})"))
        data.append(row)
        body.append((Entry(f"{direction}, {structure}"), *entries))
    subjects = temporal.quality["subject"].nunique()
    note = f"Frames between end-diastole and end-systole, averaged by subject; {subjects} subjects."
    header = ("direction and structure", *measures.values())
    return Table("Quality of pseudo-labels", header, tuple(body), (note,), pd.DataFrame(data))
