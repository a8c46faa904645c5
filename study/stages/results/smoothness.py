"""Smoothness over time of segmented sequences (Equation 2 of the temporal-consistency paper)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from study.stages.results.csv_text import csv_text
from trainables.common.errors import UserError
from trainables.data.records import PHASES
from trainables.data.store.frames import FrameStore
from trainables.downstream.segmentation import Predictions
from trainables.downstream.test_metrics import Curves, curves
from trainables.metrics.overlap import subject_means

SMALLEST = 1e-12
"""Lower bound of a smoothness before its logarithm is taken."""


def mean_smoothness(predictions: Predictions, store: FrameStore) -> float:
    """Return log10 of the smoothness, the mean over sequences, then subjects, then classes.

    Raises:
        UserError: no sequence has three frames or more.
    """
    found = curves(store, predictions)
    if not found:
        raise UserError(
            "search.objectives: val/smoothness needs validation sequences of three frames or more (found none). "
            "Fix: remove val/smoothness, or set data.stride from 1 up"
        )
    values = smoothness_metrics(found, store).values()
    return float(np.mean([np.log10(max(value, SMALLEST)) for value in values]))


def smoothness_metrics(found: Sequence[Curves], store: FrameStore) -> dict[str, float]:
    """Return the smoothness of each class, the mean over subjects of the mean over their sequences."""
    values = np.array([each.smoothness for each in found])
    subjects = np.array([store.index["subject"][each.rows[0]] for each in found])
    means = subject_means(values, subjects).mean(0)
    return {f"test/smoothness/{name}": float(value) for name, value in zip(store.classes[1:], means, strict=True)}


def sequence_table(found: Sequence[Curves], store: FrameStore) -> str:
    """Return a row for each frame of a sequence as CSV text: the area and the smoothness of each class."""
    names = store.classes[1:]
    columns = [*(f"area/{name}" for name in names), *(f"smoothness/{name}" for name in names)]
    rows: list[Sequence[object]] = [["subject", "sequence", "view", "row", "phase", *columns]]
    for each in found:
        smooth = [repr(float(value)) for value in each.smoothness]
        for row, areas in zip(each.rows, each.areas, strict=True):
            record = store.index[row]
            place = [store.subjects[int(record["subject"])], each.sequence, store.views[int(record["view"])], int(row)]
            rows.append([*place, PHASES[int(record["phase"])], *(repr(float(area)) for area in areas), *smooth])
    return csv_text(rows)
