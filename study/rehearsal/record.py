"""Record of the studies whose rehearsal has passed, so that `study run` does not repeat it."""

from __future__ import annotations

import json

from study.config.definition import Study
from study.planning.calibration import machine_name
from study.planning.datasets import prepared_in
from study.planning.plan import datasets_of
from study.storage.artifacts import digest
from study.storage.workspace import Workspace
from trainables.common.files import write_text


def record_pass(study: Study, workspace: Workspace) -> None:
    """Record that a study has passed its rehearsal on this machine, with its present data."""
    known = _read(workspace)
    write_text(workspace.rehearsed, json.dumps({**known, study.spec.name: _digest(study, workspace)}, indent=1))


def passed_before(study: Study, workspace: Workspace) -> bool:
    """Return True if this study has passed with the same settings and data on this machine."""
    return _read(workspace).get(study.spec.name) == _digest(study, workspace)


def _digest(study: Study, workspace: Workspace) -> str:
    find = prepared_in(workspace)
    data = [find(settings).fingerprint for settings in datasets_of(study)]
    return digest({"spec": study.document(), "data": data, "machine": machine_name()})


def _read(workspace: Workspace) -> dict[str, str]:
    try:
        known: dict[str, str] = json.loads(workspace.rehearsed.read_text())
    except (OSError, ValueError):
        return {}
    return known
