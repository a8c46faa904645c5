"""Verdicts on the pretrainings that a study's replicates start from."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

from study.storage.artifacts import ArtifactStore
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
        method: name of the pretext method.
        learning: verdict on it; the worst of its chain where it continues another pretraining.
        cells: keys of the cells, in the order of the plan.
    """

    digest: str
    method: str
    learning: Learning
    cells: tuple[str, ...]

    @property
    def title(self) -> str:
        """Display name, such as "simclr 1a2b3c"."""
        return f"{self.method} {self.digest[:6]}"


def pretrainings(folder: StudyFolder, cells: Iterable[str], jobs: pd.DataFrame) -> tuple[Pretraining, ...]:
    """Return the pretrainings with a verdict that finished replicates start from.

    A verdict is read from the artifact, so that it is known where another study of the workspace made the weights.

    Args:
        folder: folder of the study.
        cells: keys of the study's cells.
        jobs: finished jobs, with columns `id`, `kind`, `cell` and `status`.
    """
    done = jobs[(jobs["kind"] == "replicate") & (jobs["status"] != "failed")]
    users: dict[str, list[str]] = {}
    for cell in cells:
        for digest in _starts(folder, done.loc[done["cell"] == cell, "id"].tolist()):
            users.setdefault(digest, []).append(cell)
    found = [(digest, _verdicts(ArtifactStore(folder.workspace.artifacts), digest)) for digest in users]
    return tuple(
        Pretraining(digest, verdicts[0][0], min((each for _, each in verdicts), key=_rank), tuple(users[digest]))
        for digest, verdicts in found
        if verdicts
    )


def _starts(folder: StudyFolder, jobs: Sequence[str]) -> Iterable[str]:
    """Return the digests of the weights that jobs start from, without repetition."""
    configs = (folder.job(job).config for job in jobs)
    inputs = [json.loads(path.read_text()).get("inputs", {}) for path in configs if path.exists()]
    return dict.fromkeys(each[WEIGHTS] for each in inputs if WEIGHTS in each)


def _verdicts(artifacts: ArtifactStore, digest: str | None) -> list[tuple[str, Learning]]:
    """Return method and verdict of a pretraining and of those that it continues; empty where none is recorded."""
    found: list[tuple[str, Learning]] = []
    while digest is not None and artifacts.has(digest):
        about = artifacts.about(digest)
        if about.get("learning") is not None:
            found.append((about["config"]["pretext"]["method"]["name"], Learning(**about["learning"])))
        digest = about["config"].get("start")
    return found


def _rank(learning: Learning) -> int:
    return WORST_FIRST.index(learning.verdict)
