"""Finished work of a study: the jobs and artifacts that a workspace has already."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from study.scheduling.state import StudyState
from study.storage.artifacts import ArtifactStore
from study.storage.ledger import read_ledger
from study.storage.workspace import Workspace


@dataclass(frozen=True)
class FinishedWork:
    """Jobs that need not run again.

    Attributes:
        has_artifact: function that returns True if the artifact with this digest exists.
        jobs: number of ended trials and replicates by (cell, kind); a failed job has ended, too.
    """

    has_artifact: Callable[[str], bool] = field(default=lambda address: False)
    jobs: Mapping[tuple[str, str], int] = field(default_factory=dict)


def finished_work(study: str, workspace: Workspace) -> FinishedWork:
    """Return what a workspace has of a study.

    Args:
        study: name of the study.
        workspace: workspace, which may not exist yet.
    """
    ledger = workspace.study(study).ledger
    events = read_ledger(ledger) if ledger.exists() else []
    outcomes = StudyState.replay(events).outcomes.values()
    ended = Counter((end.cell, end.kind) for end in outcomes if end.cell is not None)
    return FinishedWork(ArtifactStore(workspace.artifacts).has, ended)
