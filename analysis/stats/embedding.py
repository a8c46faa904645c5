"""Embeddings of images by a pretrained backbone."""

from __future__ import annotations

import json

import numpy as np
import torch

from analysis.io.load import StudyResults
from study.config.settings import parse
from study.storage.artifacts import ArtifactStore
from trainables.common.errors import DataError
from trainables.data.records import SPLITS
from trainables.data.store.frames import FrameStore
from trainables.networks.backbones import BackboneSettings
from trainables.networks.network import NetworkSettings
from trainables.networks.normalise import Normalise
from trainables.networks.weights import part_of

BATCH_SIZE = 64
"""Images per forward pass."""


def embeddings(results: StudyResults, job: str, store: FrameStore, rows: np.ndarray) -> np.ndarray:
    """Return the deepest features of a pretrained backbone, averaged over each image.

    Args:
        results: results of the study.
        job: id of a completed pretraining job.
        store: frame store with the images.
        rows: integer row numbers `(N,)` of the store.

    Returns:
        Features, float64 `(N, C)`.

    Raises:
        DataError: the weights are missing, or the backbone expects another number of channels.
    """
    path = results.folder.job(job).config
    if not path.exists():
        raise DataError(f"{path}: file is missing, but the ledger lists {job} as completed")
    described = json.loads(path.read_text())
    config, artifacts = described["config"], ArtifactStore(results.folder.workspace.artifacts)
    if not artifacts.has(described["digest"]):
        raise DataError(
            f"{artifacts.folder(described['digest'])}: artifact is missing, but the ledger lists {job} as completed"
        )
    if "network" in config:
        backbone = parse(NetworkSettings, config["network"]).backbone.build(store.channels)
    else:
        backbone = parse(BackboneSettings, config["backbone"]).build(store.channels)
    try:
        backbone.load_state_dict(part_of(artifacts.weights(described["digest"]), "backbone"))
    except RuntimeError as error:
        raise DataError(f"{job}: the backbone does not accept the study's images ({error})") from error
    backbone.eval()
    normalise = Normalise(store.mean, store.std)
    found = []
    with torch.inference_mode():
        for first in range(0, len(rows), BATCH_SIZE):
            images = torch.from_numpy(np.ascontiguousarray(store.images[rows[first : first + BATCH_SIZE]]))
            found.append(backbone(normalise(images.float() / 255)).mean(dim=(2, 3)))
    return torch.cat(found).double().numpy()


def first_test_rows(store: FrameStore, most: int = 1000) -> np.ndarray:
    """Return the row of the first frame of each test sequence, subsampled evenly to at most `most` rows.

    Without a test split, as where cross-validation folds are tested, they are those of all sequences.
    """
    tested = store.index["split"] == SPLITS.index("test")
    rows = np.flatnonzero(tested if tested.any() else np.ones_like(tested))
    _, first = np.unique(store.index["sequence"][rows], return_index=True)
    rows = rows[first]
    return np.asarray(rows[:: -(-len(rows) // most)] if len(rows) else rows)


def principal_plane(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Project points on the first two principal components of their standardized features.

    Args:
        points: features, float64 `(N, C)`.

    Returns:
        Coordinates `(N, 2)` and the fractions of variance explained `(2,)`.
    """
    spread = points.std(axis=0)
    scaled = (points - points.mean(axis=0)) / np.where(spread > 0, spread, 1)
    left, sizes, _ = np.linalg.svd(scaled, full_matrices=False)
    shares = sizes**2 / max(float((sizes**2).sum()), 1e-12)
    return left[:, :2] * sizes[:2], shares[:2]
