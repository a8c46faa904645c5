"""Evaluation of a study's networks on labelled data that they were neither trained nor chosen on."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from study.prediction.trained_cell import TrainedCell
from study.stages.results.test_results import save_test_results
from study.storage.workspace import JobFolder, Workspace
from trainables.common.errors import DataError
from trainables.data.records import Progress
from trainables.data.sampling.targets import targeted
from trainables.data.settings import DataSettings
from trainables.data.store.frames import FrameStore
from trainables.data.store.guard import list_dataset
from trainables.data.store.prepare import dataset_root, prepare
from trainables.downstream.segmentation import evaluate_masks
from trainables.downstream.selection import around, evaluation_rows
from trainables.prediction.ensemble import Ensemble
from trainables.prediction.restoring import largest


@dataclass(frozen=True, eq=False)
class LabelledData:
    """Frames of another dataset, at the size of the networks' input.

    Attributes:
        store: the frames and their masks; its classes are those that the study has, too.
        table: class index of the store by class index of the networks, uint8; 0 for a class that the data lack.
        lacking: classes of the study that the data have no masks of.
        seen: number of labelled subjects left out, because the study was trained or chosen on one of their images.
        unlabelled: number of subjects that have no mask.
    """

    store: FrameStore
    table: np.ndarray
    lacking: tuple[str, ...]
    seen: int
    unlabelled: int


def labelled_data(
    trained: TrainedCell, given: DataSettings, place: Workspace, progress: Progress | None = None
) -> LabelledData:
    """Decode another dataset as the study's was, its subjects all being test subjects.

    Args:
        trained: a cell of the study.
        given: layout and folder of the dataset.
        place: workspace that keeps the frame store.
        progress: callback after each step; None for none.

    Raises:
        DataError: the dataset is damaged, has no mask, none of the study's classes, or only images that the study has
            seen.
    """
    own, classes = trained.data, trained.store.classes
    base = replace(given, image_size=own.image_size, pixel_mm=own.pixel_mm, stride=own.stride)
    root = dataset_root(base, None, place.data)
    listing = list_dataset(base, root)
    views = {record.view for record in listing.records}
    chosen = own.views if given.views is None and own.views is not None and set(own.views) <= views else given.views
    used = set(chosen or views) & set(trained.downstream.views or views)
    records = [record for record in listing.records if record.view in used]
    if records and not any(record.labelled for record in records):
        other = any(record.labelled for record in listing.records)
        raise _no_masks(root, given, len({record.subject for record in records}), used if other else ())
    shared = tuple(name for name in classes[1:] if name in listing.classes)
    if not shared:
        found, expected = ", ".join(listing.classes[1:]) or "none", ", ".join(classes[1:])
        raise DataError(f"{root}: no class of the study (found {found}, expected one of {expected})")
    settings = replace(base, structures=shared, views=chosen, split="fractions", fractions=(0.0, 0.0, 1.0))
    store = prepare(settings, None, place.data, place.subject_key(), progress)
    table = np.array([store.classes.index(name) if name in store.classes else 0 for name in classes], np.uint8)
    labelled = len(store.split_subjects("test", labelled=True))
    if labelled == 0:
        raise _no_masks(root, given, len(store.subjects))
    kept, seen = without_seen(store, trained.store, root)
    lacking = tuple(name for name in classes[1:] if name not in shared)
    return LabelledData(kept, table, lacking, seen, len(store.subjects) - labelled)


def _no_masks(root: Path, given: DataSettings, subjects: int, views: Collection[str] = ()) -> DataError:
    """Return the error of data without a mask, or without one of the views that are used."""
    found = f"{subjects} subject{'s' * (subjects != 1)} without one"
    where = f" of view {', '.join(sorted(views))}" if views else ""
    fix = f"add masks ({given.layout.masks}), or evaluate other data" if given.layout.masks else "evaluate other data"
    return DataError(f"{root}: no reference mask{where} (found {found}, expected labelled images). Fix: {fix}")


def without_seen(store: FrameStore, study: FrameStore, root: Path) -> tuple[FrameStore, int]:
    """Return a store without the subjects of whom an image is in the study's train or val split, and their number.

    Images are compared bit for bit at the stored size, images of one gray level apart. Subjects without masks, which
    are not evaluated, are not counted.

    Args:
        store: frames of the labelled data.
        study: frames of the study.
        root: folder of the labelled data, for messages.

    Raises:
        DataError: no subject is left.
    """
    used = np.concatenate([study.rows("train"), study.rows("val")])
    known = _digests(study, used)
    labelled = store.split_subjects("test", labelled=True)
    rows = store.rows("test", subjects=labelled)
    seen = np.unique(
        [store.index["subject"][row] for row, own in zip(rows, _list(store, rows), strict=True) if own in known]
    )
    if len(seen) == 0:
        return store, 0
    index = np.array(store.index)
    index["split"][np.isin(index["subject"], seen)] = 0
    kept = replace(store, index=index)
    if len(seen) == len(labelled):
        text = "the study was trained or chosen on images of all subjects with masks"
        text += f" (found {len(seen)} of {len(store.subjects)} subjects)"
        raise DataError(f"{root}: {text}. Fix: evaluate other data")
    return kept, len(seen)


def evaluate(
    trained: TrainedCell, data: LabelledData, folder: Path, device: torch.device
) -> dict[str, dict[str, float]]:
    """Segment the data with each replicate and write its results as those of the study's own test.

    Args:
        trained: the replicates.
        data: frames with masks.
        folder: folder of the results, with a folder for each replicate.
        device: device to compute on.

    Returns:
        Metrics of each replicate, named as in the study ("test/dice"), by job.
    """
    settings = trained.downstream
    complete = settings.targets != "labelled" or trained.network.temporal
    store = targeted(data.store, "labelled" if settings.targets == "labelled" else "ed_es", None)
    rows = evaluation_rows(store, "test", settings.views, complete=complete)
    metrics = {}
    for replicate in trained.replicates:
        networks = Ensemble(
            trained.networks(replicate),
            trained.preprocessing,
            device=device,
            precision=settings.fit.precision,
            frames=trained.network.frames,
            batch=trained.evaluation_batch,
        )
        masks = data.table[_segmented(networks, store, rows)]
        found = evaluate_masks(store, rows, masks)
        metrics[replicate.job] = save_test_results(
            found, store, JobFolder(folder / replicate.job), trained.downstream.metrics
        )
    return metrics


def _segmented(networks: Ensemble, store: FrameStore, rows: np.ndarray) -> np.ndarray:
    """Return the predicted class indices `(N, S, S)` of rows of a store."""
    if not networks.temporal:
        parts = np.split(rows, range(networks.batch, len(rows), networks.batch))
        return np.concatenate([_masks(networks, store.images[part]) for part in parts])
    masks = np.zeros((len(rows), store.image_size, store.image_size), np.uint8)
    numbers = store.index["sequence"][rows]
    for number in np.unique(numbers):
        own = rows[numbers == number]
        whole = around(store, own)
        masks[numbers == number] = _masks(networks, store.images[whole])[np.searchsorted(whole, own)]
    return masks


def _masks(networks: Ensemble, images: np.ndarray) -> np.ndarray:
    return np.asarray(largest(networks(torch.from_numpy(np.ascontiguousarray(images))).scores).cpu().numpy())


def _digests(store: FrameStore, rows: np.ndarray) -> set[bytes]:
    return {digest for digest in _list(store, rows) if digest}


def _list(store: FrameStore, rows: np.ndarray) -> Sequence[bytes]:
    """Return a digest of each image; b"" for one of a single gray level."""
    images = (np.ascontiguousarray(store.images[row]) for row in rows)
    return [hashlib.blake2b(i.tobytes(), digest_size=16).digest() if i.min() < i.max() else b"" for i in images]
