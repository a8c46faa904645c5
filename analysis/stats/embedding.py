"""What a pretrained backbone makes of test images."""

from __future__ import annotations

import json

import numpy as np
import torch

from analysis.io.load import StudyResults
from study.config.settings import parse
from study.storage.artifacts import ArtifactStore
from study.storage.workspace import Workspace
from trainables.common.errors import DataError
from trainables.data.records import SPLITS
from trainables.data.store.frames import FrameStore
from trainables.networks.backbones import BackboneSettings
from trainables.networks.network import NetworkSettings
from trainables.networks.normalise import Normalise
from trainables.networks.weights import part_of

AT_A_TIME = 64


def embeddings(results: StudyResults, job: str, store: FrameStore, rows: np.ndarray) -> np.ndarray:
    """The deepest features of a pretraining's backbone, averaged over the image.

    Args:
        results: of the study.
        job: a completed pretraining.
        store: with the frames.
        rows: of the store, `(N,)`.

    Returns:
        float64 `(N, C)`.

    Raises:
        DataError: its weights are not in the workspace, or it was made from images of other channels.
    """
    path = results.folder.job(job).config
    if not path.exists():
        raise DataError(f"{path}: missing, though the ledger says that {job} completed")
    given = json.loads(path.read_text())
    config, artifacts = given["config"], ArtifactStore(Workspace(results.folder.root.parent.parent).artifacts)
    if not artifacts.has(given["digest"]):
        raise DataError(f"{artifacts.folder(given['digest'])}: missing, though the ledger says that {job} completed")
    if "network" in config:
        backbone = parse(NetworkSettings, config["network"]).backbone.build(store.channels)
    else:
        backbone = parse(BackboneSettings, config["backbone"]).build(store.channels)
    try:
        backbone.load_state_dict(part_of(artifacts.weights(given["digest"]), "backbone"))
    except RuntimeError as error:
        raise DataError(f"{job}: its backbone does not fit the study's images ({error})") from error
    backbone.eval()
    normalise = Normalise(store.mean, store.std)
    found = []
    with torch.inference_mode():
        for first in range(0, len(rows), AT_A_TIME):
            images = torch.from_numpy(np.ascontiguousarray(store.images[rows[first : first + AT_A_TIME]]))
            found.append(backbone(normalise(images.float() / 255)).mean(dim=(2, 3)))
    return torch.cat(found).double().numpy()


def first_test_rows(store: FrameStore, most: int = 1000) -> np.ndarray:
    """The first frame of each test sequence, evenly thinned to at most so many."""
    rows = np.flatnonzero(store.index["split"] == SPLITS.index("test"))
    _, first = np.unique(store.index["sequence"][rows], return_index=True)
    rows = rows[first]
    return np.asarray(rows[:: -(-len(rows) // most)] if len(rows) else rows)


def plane(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The two directions in which `(N, C)` points vary most, by principal components of standardised features.

    Returns:
        `(N, 2)`, and the shares of the variance of both.
    """
    spread = points.std(axis=0)
    scaled = (points - points.mean(axis=0)) / np.where(spread > 0, spread, 1)
    left, sizes, _ = np.linalg.svd(scaled, full_matrices=False)
    shares = sizes**2 / max(float((sizes**2).sum()), 1e-12)
    return left[:, :2] * sizes[:2], shares[:2]
