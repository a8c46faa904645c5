"""Agreement of pseudo-labels with true masks, as a table and as metrics."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from study.stages.results.csv_text import csv_text
from trainables.data.store.frames import FrameStore
from trainables.metrics.overlap import subject_means
from trainables.registration.pseudo_labels import DIRECTIONS, Quality


def quality_table(quality: Iterable[Quality], store: FrameStore) -> str:
    """Return the table as CSV text, with a row for each frame, direction of propagation and class.

    Distances are in mm; `position` runs from 0 at end-diastole to 1 at end-systole.
    """
    rows: list[Sequence[object]] = [
        ["subject", "sequence", "position", "direction", "class", "dice", "mean_absolute", "hausdorff"]
    ]
    for each in quality:
        for name, *scores in zip(store.classes[1:], each.dice, each.mean_absolute, each.hausdorff, strict=True):
            place = [store.subjects[each.subject], each.sequence, repr(each.position), each.direction]
            rows.append([*place, name, *map(repr, scores)])
    return csv_text(rows)


def quality_metrics(quality: Sequence[Quality]) -> dict[str, float]:
    """Return the mean Dice of each direction's pseudo-labels, over classes, then frames, then sequences."""
    metrics = {}
    for direction in DIRECTIONS:
        found = [each for each in quality if each.direction == direction]
        if found:
            scores = np.array([[np.mean(each.dice)] for each in found])
            sequences = np.array([each.sequence for each in found])
            metrics[f"quality/dice/{direction}"] = float(subject_means(scores, sequences).mean())
    return metrics
