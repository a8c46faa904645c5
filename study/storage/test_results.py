"""What a replicate's answers on the test split are written down as, and the metrics they come to."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import astuple

import numpy as np

from study.storage.workspace import JobFolder
from trainables.common.errors import UserError
from trainables.common.files import atomic_writer, write_text
from trainables.data.records import PHASES
from trainables.data.store.frames import FrameStore
from trainables.downstream.segmentation import Predictions
from trainables.downstream.test_metrics import Curves, Volumes, curves, distances, volumes
from trainables.metrics.clinical import agreement
from trainables.metrics.overlap import subject_means
from trainables.registration.pseudo_labels import DIRECTIONS, Quality

DISTANCES = ("hausdorff", "hausdorff95", "mean_absolute", "mean_contour")
"""Names of the surface distances, as columns and as metrics."""

VOLUMES = ("edv", "esv", "ef")


def save_test_results(test: Predictions, store: FrameStore, folder: JobFolder) -> dict[str, float]:
    """Write a replicate's predictions and the tables of what they come to; gives its test metrics."""
    with atomic_writer(folder.predictions) as file:
        np.savez_compressed(file, rows=test.rows, masks=test.masks)
    scores = {"dice": test.dice} | dict(zip(DISTANCES, astuple(distances(store, test)), strict=True))
    write_text(folder.test, _cases(test, scores, store))
    metrics = _means(test, scores, store)
    found, measured = curves(store, test), volumes(store, test)
    if found:
        write_text(folder.sequences, _sequences(found, store))
        metrics |= _smoothness(found, store)
    if measured:
        write_text(folder.volumes, _volumes(measured, store))
        metrics |= _agreement(measured)
    return metrics


def mean_smoothness(found: Predictions, store: FrameStore) -> float:
    """Log10 of equation 2, the mean over structures, then sequences, then subjects.

    Raises:
        UserError: no sequence of three frames or more.
    """
    whole = curves(store, found)
    if not whole:
        raise UserError("search.objectives: val/smoothness needs sequences of three frames or more, the data have none")
    return float(np.mean([np.log10(max(value, 1e-12)) for value in _smoothness(whole, store).values()]))


def quality_table(quality: Iterable[Quality], store: FrameStore) -> str:
    """How pseudo-labels agree with true masks: a row a frame, direction and class."""
    rows: list[Sequence[object]] = [
        ["subject", "sequence", "position", "direction", "class", "dice", "mean_absolute", "hausdorff"]
    ]
    for each in quality:
        for name, *scores in zip(store.classes[1:], each.dice, each.mean_absolute, each.hausdorff, strict=True):
            place = [store.subjects[each.subject], each.sequence, repr(each.position), each.direction]
            rows.append([*place, name, *map(repr, scores)])
    return _csv(rows)


def quality_metrics(quality: Sequence[Quality], store: FrameStore) -> dict[str, float]:
    """Mean Dice of each direction's pseudo-labels, over classes, then frames, then sequences."""
    metrics = {}
    for direction in DIRECTIONS:
        own = [each for each in quality if each.direction == direction]
        if own:
            scores = np.array([[np.mean(each.dice)] for each in own])
            metrics[f"quality/dice/{direction}"] = float(
                subject_means(scores, np.array([each.sequence for each in own])).mean()
            )
    return metrics


def _cases(test: Predictions, scores: dict[str, np.ndarray], store: FrameStore) -> str:
    columns = [f"{measure}/{name}" for measure in scores for name in store.classes[1:]]
    rows: list[Sequence[object]] = [["subject", "row", "phase", "dice", *columns]]
    table = np.concatenate(list(scores.values()), axis=1)
    for row, dice, values in zip(test.cases, test.dice, table, strict=True):
        record = store.index[row]
        mean = float(np.nanmean(dice)) if not np.isnan(dice).all() else float("nan")
        subject, phase = store.subjects[int(record["subject"])], PHASES[int(record["phase"])]
        rows.append([subject, int(row), phase, repr(mean), *(repr(float(value)) for value in values)])
    return _csv(rows)


def _means(test: Predictions, scores: dict[str, np.ndarray], store: FrameStore) -> dict[str, float]:
    """As validation has it: the mean over subjects of the mean over their cases; what no case has is left out."""
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


def _sequences(found: Sequence[Curves], store: FrameStore) -> str:
    """A row a frame of a sequence that was segmented as a whole: the area of each class, and its smoothness."""
    names = store.classes[1:]
    columns = [*(f"area/{name}" for name in names), *(f"smoothness/{name}" for name in names)]
    rows: list[Sequence[object]] = [["subject", "sequence", "view", "row", "phase", *columns]]
    for each in found:
        smooth = [repr(float(value)) for value in each.smoothness]
        for row, areas in zip(each.rows, each.areas, strict=True):
            record = store.index[row]
            place = [store.subjects[int(record["subject"])], each.sequence, store.views[int(record["view"])], int(row)]
            rows.append([*place, PHASES[int(record["phase"])], *(repr(float(area)) for area in areas), *smooth])
    return _csv(rows)


def _smoothness(found: Sequence[Curves], store: FrameStore) -> dict[str, float]:
    values = np.array([each.smoothness for each in found])
    subjects = np.array([store.index["subject"][each.rows[0]] for each in found])
    means = subject_means(values, subjects).mean(0)
    return {f"test/smoothness/{name}": float(value) for name, value in zip(store.classes[1:], means, strict=True)}


def _volumes(measured: Sequence[Volumes], store: FrameStore) -> str:
    columns = [f"{kind}_{name}" for name in VOLUMES for kind in ("predicted", "true")]
    rows: list[Sequence[object]] = [["subject", "view", *columns]]
    for each in measured:
        values = [repr(value) for name in VOLUMES for value in getattr(each, name)]
        rows.append([store.subjects[each.subject], each.view, *values])
    return _csv(rows)


def _agreement(measured: Sequence[Volumes]) -> dict[str, float]:
    metrics = {}
    for name in VOLUMES:
        pairs = np.array([getattr(each, name) for each in measured])
        found = agreement(pairs[:, 1], pairs[:, 0])
        for part in ("correlation", "bias", "mae"):
            value = getattr(found, part)
            if np.isfinite(value):
                metrics[f"test/{name}/{part}"] = float(value)
    return metrics


def _csv(rows: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
