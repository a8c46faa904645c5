"""Choice of the study that a notebook reads, where none is named."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from study.storage.workspace import StudyFolder, Workspace
from trainables.common.errors import UserError

WORKSPACE = "runs"
"""Name of a workspace's folder where `STUDY_HOME` does not name another."""


def choose_study(environment: Mapping[str, str], start: Path, prefer: str = "") -> StudyFolder:
    """Return the study that `STUDY` names in the workspace `STUDY_HOME`.

    Without `STUDY_HOME` the workspace is the nearest folder `runs` that holds a study, in a folder or above it. Without
    `STUDY` the study is the last that ran there, of those whose name begins with `prefer` if there are any.

    Args:
        environment: environment variables.
        start: folder to search from, such as that of a notebook.
        prefer: beginning of a study's name.

    Raises:
        UserError: there is no such workspace or study.
    """
    workspace = Workspace(_root(environment, start).absolute())
    if name := environment.get("STUDY"):
        return workspace.existing_study(name)
    studies = _studies(workspace.root)
    if not studies:
        raise UserError(f"{workspace.root}: no study has run in this workspace. Fix: start it with study run")
    alike = [study for study in studies if study.name.startswith(prefer)]
    return max(alike or studies, key=lambda study: study.plan.stat().st_mtime)


def _root(environment: Mapping[str, str], start: Path) -> Path:
    if named := environment.get("STUDY_HOME"):
        return Path(named)
    start = start.absolute()
    for folder in (start, *start.parents):
        if _studies(folder / WORKSPACE):
            return folder / WORKSPACE
    raise UserError(
        f"{start}: no workspace here or in a folder above it (expected {WORKSPACE}/studies). "
        "Fix: set STUDY_HOME to the workspace"
    )


def _studies(root: Path) -> list[StudyFolder]:
    return [StudyFolder(plan.parent) for plan in sorted(root.glob("studies/*/plan.json"))]
