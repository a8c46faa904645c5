"""Verdicts on the pretrainings that a study's replicates start from."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from study.storage.artifacts import ArtifactStore
from study.storage.events import JobFinished
from study.storage.workspace import StudyFolder
from trainables.common.learning import Learning

WEIGHTS = "pretext"
"""Role of the pretrained weights among a job's inputs."""

WORST_FIRST = ("collapsed", "diverged", "not learned", "weak", "unknown", "learned")


@dataclass(frozen=True)
class Pretraining:
    """A pretraining with the cells whose replicates start from it.

    Attributes:
        digest: address of its artifact.
        settings: settings of the pretext stage, as JSON-able values.
        data: fingerprint of its dataset.
        learning: verdict on it; the worst of its chain where it continues another pretraining.
        cells: keys of the cells, in the order of the plan; empty for a pretraining that failed.
        strength: strength of the augmentation that was found for it; None where the study file gives a number.
    """

    digest: str
    settings: Mapping[str, Any]
    data: str
    learning: Learning
    cells: tuple[str, ...]
    strength: float | None = None

    @property
    def method(self) -> str:
        """Name of the pretext method."""
        return str(self.settings["method"]["name"])


def replicate_starts(folder: StudyFolder, jobs: pd.DataFrame) -> dict[str, dict[int, str]]:
    """Return the digest of the weights that each finished replicate starts from, by cell and replicate.

    Cells whose replicates start from no pretraining are left out.

    Args:
        folder: folder of the study.
        jobs: finished jobs, with columns `id`, `kind`, `cell`, `index` and `status`.
    """
    done = jobs[(jobs["kind"] == "replicate") & (jobs["status"] != "failed")]
    starts: dict[str, dict[int, str]] = {}
    for job, cell, index in zip(done["id"], done["cell"], done["index"], strict=True):
        path = folder.job(job).config
        digest = json.loads(path.read_text()).get("inputs", {}).get(WEIGHTS) if path.exists() else None
        if digest is not None:
            starts.setdefault(cell, {})[int(index)] = digest
    return starts


def pretrainings(
    folder: StudyFolder, cells: Iterable[str], starts: Mapping[str, Mapping[int, str]]
) -> tuple[Pretraining, ...]:
    """Return the pretrainings with a verdict that finished replicates start from.

    A verdict is read from the artifact, so that it is known where another study of the workspace made the weights.

    Args:
        folder: folder of the study.
        cells: keys of the study's cells.
        starts: digest of the weights that each replicate starts from, by cell and replicate.
    """
    users: dict[str, list[str]] = {}
    for cell in cells:
        for digest in dict.fromkeys(starts.get(cell, {}).values()):
            users.setdefault(digest, []).append(cell)
    return tuple(
        each
        for digest, own in users.items()
        if (each := _pretraining(ArtifactStore(folder.workspace.artifacts), digest, own))
    )


def failed_pretrainings(folder: StudyFolder, ended: Iterable[JobFinished]) -> tuple[Pretraining, ...]:
    """Return the pretrainings of a study that failed with a verdict; no cell starts from them.

    Args:
        folder: folder of the study.
        ended: last end of each job.
    """
    found = []
    for each in ended:
        path, learning = folder.job(each.job).config, each.outcome.learning
        if each.outcome.status == "failed" and learning is not None and path.exists():
            config = json.loads(path.read_text())["config"]
            found.append(Pretraining(each.digest, config["pretext"], config["data"], learning, ()))
    return tuple(found)


def _pretraining(artifacts: ArtifactStore, digest: str, cells: Sequence[str]) -> Pretraining | None:
    """Return a pretraining with the worst verdict of its chain, or None where no verdict is recorded."""
    chain: list[dict[str, Any]] = []
    step: str | None = digest
    while step is not None and artifacts.has(step):
        chain.append(artifacts.about(step))
        step = chain[-1]["config"].get("start")
    verdicts = [Learning(**about["learning"]) for about in chain if about.get("learning") is not None]
    if not verdicts:
        return None
    config, strength = chain[0]["config"], chain[0].get("metrics", {}).get("strength")
    return Pretraining(digest, config["pretext"], config["data"], min(verdicts, key=_rank), tuple(cells), strength)


def _rank(learning: Learning) -> int:
    return WORST_FIRST.index(learning.verdict)
