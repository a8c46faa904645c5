"""Test metrics of predictions: surface distances, temporal smoothness, volumes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from trainables.data.sampling.sequences import ends, sequences
from trainables.data.store.frames import FrameStore
from trainables.downstream.segmentation import Predictions
from trainables.metrics.case_metric import CaseMetric, metric_name
from trainables.metrics.clinical import Discs, biplane_volume, discs, ejection_fraction
from trainables.metrics.overlap import pooled_dice
from trainables.metrics.surface import SurfaceDistances, surface_distances
from trainables.metrics.temporal import area_curves, smoothness

CAVITY = "lv"
BIPLANE = ("2CH", "4CH")


@dataclass(frozen=True)
class Volumes:
    """A subject's left ventricle by Simpson's method, from predicted and from true masks.

    Attributes:
        subject: into the store's subjects.
        view: measured view, or "biplane".
        edv: end-diastolic volume in mL, (predicted, true).
        esv: end-systolic volume in mL, (predicted, true).
    """

    subject: int
    view: str
    edv: tuple[float, float]
    esv: tuple[float, float]

    @property
    def ef(self) -> tuple[float, float]:
        """Ejection fraction in per cent."""
        found = ejection_fraction(np.array(self.edv), np.array(self.esv))
        return float(found[0]), float(found[1])


@dataclass(frozen=True)
class Curves:
    """Areas of a sequence over time.

    Attributes:
        sequence: number of the sequence in the store.
        rows: rows of its frames, in temporal order.
        areas: area by frame and foreground class `(N, K - 1)` in mm^2, or in pixels where the spacing is unknown.
    """

    sequence: int
    rows: np.ndarray
    areas: np.ndarray

    @property
    def smoothness(self) -> np.ndarray:
        """Equation 2, `(K - 1,)`; nan of fewer than three frames."""
        return smoothness(self.areas) if len(self.areas) > 2 else np.full(self.areas.shape[1], np.nan)


def distances(store: FrameStore, found: Predictions) -> SurfaceDistances:
    """Return distances in mm by case and foreground class; NaN for volumes, whose slices have no surface."""
    place, reference = _positions(found.rows), _positions(found.reference_rows)
    masks = found.masks[[place[row] for row in found.cases.tolist()]]
    truth = found.references[[reference[row] for row in found.cases.tolist()]]
    entries = store.index[found.cases]
    spacing = np.where(entries["stack"][:, None] == 1, np.nan, entries["spacing"])
    return surface_distances(masks, truth, len(store.classes), spacing)


def further_scores(store: FrameStore, found: Predictions, metrics: Sequence[CaseMetric]) -> dict[str, np.ndarray]:
    """Return the values `(M, K)` of further metrics by name; NaN for volumes, whose slices are no cases."""
    place, reference = _positions(found.rows), _positions(found.reference_rows)
    masks = found.masks[[place[row] for row in found.cases.tolist()]]
    truth = found.references[[reference[row] for row in found.cases.tolist()]]
    entries = store.index[found.cases]
    spacing, volume = entries["spacing"].astype(np.float64), entries["stack"] == 1
    values = {metric_name(metric): metric(masks, truth, len(store.classes), spacing) for metric in metrics}
    return {name: np.where(volume[:, None], np.nan, each) for name, each in values.items()}


def pooled(store: FrameStore, found: Predictions) -> np.ndarray:
    """Return Dice of each foreground class over the pixels of all images, float64 `(K - 1,)`; NaN for an absent class.

    Larger structures weigh more than in the mean over subjects (`trainables.metrics.overlap.pooled_dice`).
    """
    place = _positions(found.rows)
    masks = found.masks[[place[row] for row in found.reference_rows.tolist()]]
    overlap = pooled_dice(torch.from_numpy(masks), torch.from_numpy(found.references), len(store.classes))
    return np.asarray(overlap.numpy())


def curves(store: FrameStore, found: Predictions) -> list[Curves]:
    """Area curves of the sequences that were segmented as a whole, of three frames or more."""
    place = _positions(found.rows)
    areas = []
    for rows in sequences(store, np.sort(found.rows)):
        if len(rows) < 3 or (np.diff(rows) != 1).any():
            continue
        step = store.index["spacing"][rows[0]].astype(np.float64)
        spacing = (float(step[0]), float(step[1])) if not np.isnan(step).any() else (1.0, 1.0)
        masks = found.masks[[place[row] for row in rows.tolist()]]
        number = int(store.index["sequence"][rows[0]])
        areas.append(Curves(number, rows, area_curves(masks, len(store.classes), spacing)))
    return areas


def volumes(store: FrameStore, found: Predictions) -> list[Volumes]:
    """Return volumes of every subject with a cavity at ED and ES, biplane where both apical views exist.

    Sequences without spacing, volumes of slices and short-axis views are skipped.
    """
    if CAVITY not in store.classes:
        return []
    place, reference = _positions(found.rows), _positions(found.reference_rows)
    cavity = store.classes.index(CAVITY)
    by_subject: dict[int, dict[str, list[tuple[Discs | None, Discs | None]]]] = {}
    for rows in sequences(store, np.sort(found.rows)):
        both, step = ends(store, rows), store.index["spacing"][rows[0]].astype(np.float64)
        view = store.views[int(store.index["view"][rows[0]])]
        if both is None or np.isnan(step).any() or view not in BIPLANE:
            continue
        spacing = (float(step[0]), float(step[1]))
        pairs = []
        for row in both:
            predicted, truth = found.masks[place[row]], found.references[reference[row]]
            pairs.append((discs(predicted == cavity, spacing), discs(truth == cavity, spacing)))
        by_subject.setdefault(int(store.index["subject"][rows[0]]), {})[view] = pairs
    return [_volumes(subject, views) for subject, views in sorted(by_subject.items())]


def _positions(rows: np.ndarray) -> dict[int, int]:
    """Return the position of each row in `rows`."""
    return {row: number for number, row in enumerate(rows.tolist())}


def _volumes(subject: int, views: dict[str, list[tuple[Discs | None, Discs | None]]]) -> Volumes:
    if all(view in views for view in BIPLANE):
        one, two = (views[view] for view in BIPLANE)
        found = [
            (biplane_volume(one[phase][0], two[phase][0]), biplane_volume(one[phase][1], two[phase][1]))
            for phase in (0, 1)
        ]
        return Volumes(subject, "biplane", found[0], found[1])
    view, pairs = next(iter(views.items()))
    single = [tuple(each.volume if each is not None else 0.0 for each in pair) for pair in pairs]
    return Volumes(subject, view, (single[0][0], single[0][1]), (single[1][0], single[1][1]))
