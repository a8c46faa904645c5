"""Files and metrics of a replicate's predictions on the test split."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from study.stages.results.case_scores import case_scores, case_table, mean_scores, pooled_scores
from study.stages.results.smoothness import sequence_table, smoothness_metrics
from study.stages.results.volumes import volume_metrics, volume_table
from study.storage.workspace import JobFolder
from trainables.common.files import atomic_writer, write_text
from trainables.data.store.frames import FrameStore
from trainables.downstream.segmentation import Predictions
from trainables.downstream.test_metrics import curves, volumes
from trainables.metrics.case_metric import CaseMetric


def save_test_results(
    test: Predictions, store: FrameStore, folder: JobFolder, further: Sequence[CaseMetric] = ()
) -> dict[str, float]:
    """Write a replicate's predictions and result tables, and return its test metrics, `further` ones included.

    The tables of sequences and of volumes are written only where the data have whole sequences or allow volumes.
    """
    with atomic_writer(folder.predictions) as file:
        np.savez_compressed(file, rows=test.rows, masks=test.masks)
    scores = case_scores(test, store, further)
    write_text(folder.test, case_table(test, scores, store))
    metrics = mean_scores(test, scores, store) | pooled_scores(test, store)
    found, measured = curves(store, test), volumes(store, test)
    if found:
        write_text(folder.sequences, sequence_table(found, store))
        metrics |= smoothness_metrics(found, store)
    if measured:
        write_text(folder.volumes, volume_table(measured, store))
        metrics |= volume_metrics(measured)
    return metrics
