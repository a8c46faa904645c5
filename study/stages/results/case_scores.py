"""Dice and surface distances of the test cases, as a table and as means over subjects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple

import numpy as np

from study.stages.results.csv_text import csv_text
from trainables.data.records import PHASES
from trainables.data.store.frames import FrameStore
from trainables.downstream.segmentation import Predictions
from trainables.downstream.test_metrics import distances, further_scores, pooled
from trainables.metrics.case_metric import CaseMetric
from trainables.metrics.overlap import subject_means

DISTANCES = ("hausdorff", "hausdorff95", "mean_absolute", "mean_contour")
"""Names of the surface distances (in mm), as table columns and as metrics."""

CaseScores = Mapping[str, np.ndarray]
"""Scores (N, K) of N cases and K foreground classes by measure; NaN where a measure is undefined."""


def case_scores(test: Predictions, store: FrameStore, metrics: Sequence[CaseMetric] = ()) -> dict[str, np.ndarray]:
    """Return Dice, the surface distances and further metrics of every test case."""
    surface = dict(zip(DISTANCES, astuple(distances(store, test)), strict=True))
    return {"dice": test.dice, **surface, **further_scores(store, test, metrics)}


def case_table(test: Predictions, scores: CaseScores, store: FrameStore) -> str:
    """Return the scores as CSV text, with a row for each test case; `dice` is the mean over its classes."""
    columns = [f"{measure}/{name}" for measure in scores for name in store.classes[1:]]
    rows: list[Sequence[object]] = [["subject", "row", "phase", "dice", *columns]]
    table = np.concatenate(list(scores.values()), axis=1)
    for row, dice, values in zip(test.cases, test.dice, table, strict=True):
        record = store.index[row]
        mean = float(np.nanmean(dice)) if not np.isnan(dice).all() else float("nan")
        subject, phase = store.subjects[int(record["subject"])], PHASES[int(record["phase"])]
        rows.append([subject, int(row), phase, repr(mean), *(repr(float(value)) for value in values)])
    return csv_text(rows)


def mean_scores(test: Predictions, scores: CaseScores, store: FrameStore) -> dict[str, float]:
    """Return each measure's mean over subjects of the mean over their cases, as validation does.

    Measures and classes that no case defines are omitted.
    """
    metrics = {}
    for measure, values in scores.items():
        if np.isnan(values).all():
            continue
        per_subject = subject_means(values, store.index["subject"][test.cases])
        metrics[f"test/{measure}"] = float(np.nanmean(per_subject))
        for number, name in enumerate(store.classes[1:]):
            if not np.isnan(per_subject[:, number]).all():
                metrics[f"test/{measure}/{name}"] = float(np.nanmean(per_subject[:, number]))
    return metrics


def pooled_scores(test: Predictions, store: FrameStore) -> dict[str, float]:
    """Return Dice over the pixels of all test images: the mean over the classes that occur, and of each of them."""
    known = {
        name: float(value)
        for name, value in zip(store.classes[1:], pooled(store, test), strict=True)
        if not np.isnan(value)
    }
    if not known:
        return {}
    named = {f"test/pooled_dice/{name}": value for name, value in known.items()}
    return {"test/pooled_dice": float(np.mean(list(known.values()))), **named}
