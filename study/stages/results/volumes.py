"""Ventricular volumes and ejection fraction of the test subjects, and their agreement with the true ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from study.stages.results.csv_text import csv_text
from trainables.data.store.frames import FrameStore
from trainables.downstream.test_metrics import Volumes
from trainables.metrics.clinical import agreement

INDICES = ("edv", "esv", "ef")
"""Clinical indices: end-diastolic and end-systolic volume in mL, ejection fraction in percent."""


def volume_table(measured: Sequence[Volumes], store: FrameStore) -> str:
    """Return a row for each subject as CSV text: predicted and true value of each index."""
    columns = [f"{kind}_{name}" for name in INDICES for kind in ("predicted", "true")]
    rows: list[Sequence[object]] = [["subject", "view", *columns]]
    for each in measured:
        values = [repr(value) for name in INDICES for value in getattr(each, name)]
        rows.append([store.subjects[each.subject], each.view, *values])
    return csv_text(rows)


def volume_metrics(measured: Sequence[Volumes]) -> dict[str, float]:
    """Return correlation, bias and mean absolute error of each index, as far as they are finite."""
    metrics = {}
    for name in INDICES:
        pairs = np.array([getattr(each, name) for each in measured])
        found = agreement(pairs[:, 1], pairs[:, 0])
        for part in ("correlation", "bias", "mae"):
            value = getattr(found, part)
            if np.isfinite(value):
                metrics[f"test/{name}/{part}"] = float(value)
    return metrics
