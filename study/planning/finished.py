"""Finished work of a study: the jobs and artifacts that a workspace has already."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from study.planning.jobs import CELL_KINDS
from study.scheduling.state import StudyState
from study.storage.artifacts import ArtifactStore
from study.storage.ledger import read_ledger
from study.storage.progress_file import launch_completed
from study.storage.workspace import StudyFolder, Workspace


@dataclass(frozen=True)
class FinishedWork:
    """Jobs that need not run again.

    Attributes:
        has_artifact: function that returns True if the artifact with this digest exists.
        jobs: number of ended trials and replicates by (cell, kind); a failed job has ended, too.
    """

    has_artifact: Callable[[str], bool] = field(default=lambda address: False)
    jobs: Mapping[tuple[str, str], int] = field(default_factory=dict)


def all_ended(folder: StudyFolder, planned: Mapping[str, int]) -> bool:
    """Return True if nothing of a study is left to run, failed jobs and cells without a completed trial included.

    Args:
        folder: folder of the study.
        planned: number of planned jobs by kind.
    """
    events = read_ledger(folder.ledger)
    state = StudyState.replay(events)
    if state.lost:
        return False
    ended = Counter(end.kind for end in state.outcomes.values())
    enough = all(ended[kind] >= planned.get(kind, 0) for kind in CELL_KINDS)
    return enough or launch_completed(folder.progress, len(events))


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
