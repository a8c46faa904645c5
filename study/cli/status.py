"""`study status`: how far a study is, from its plan and ledger."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from rich.console import Console
from rich.table import Table

from study.planning.jobs import CELL_KINDS, JobStatus
from study.scheduling.state import StudyState
from study.storage.ledger import read_ledger
from study.storage.workspace import StudyFolder

STATUSES: tuple[JobStatus, ...] = ("completed", "stopped", "failed")


def show_status(folder: StudyFolder, out: Console, *, as_json: bool) -> None:
    """Print planned and finished jobs by kind, and the reasons of failures."""
    standing = status_of(folder)
    if as_json:
        out.print_json(json.dumps(standing))
        return
    table = Table("", "planned", *STATUSES, box=None, pad_edge=False)
    for kind, counts in standing["jobs"].items():
        table.add_row(kind, *(str(counts[column]) for column in ("planned", *STATUSES)))
    out.print(f"{standing['name']}: {standing['state']}")
    out.print(table)
    for job, reason in standing["failures"].items():
        out.print(f"failed: {job}: {reason}", markup=False)


def status_of(folder: StudyFolder) -> dict[str, Any]:
    """The numbers behind `show_status`."""
    plan = json.loads(folder.plan.read_text())
    finished = StudyState.replay(read_ledger(folder.ledger)).outcomes.values()
    counts = Counter((each.kind, each.outcome.status) for each in finished)
    planned = plan["planned_jobs"]
    kinds = [*sorted({*planned, *(kind for kind, _ in counts)} - set(CELL_KINDS)), *CELL_KINDS]
    jobs = {
        kind: {"planned": planned.get(kind, 0), **{status: counts[kind, status] for status in STATUSES}}
        for kind in kinds
    }
    ended = {kind: sum(counts[kind, status] for status in STATUSES) for kind in kinds}
    complete = all(ended[kind] >= planned[kind] for kind in CELL_KINDS)
    return {
        "name": folder.name,
        "state": "finished" if complete else "unfinished",
        "jobs": jobs,
        "failures": {each.job: each.outcome.reason for each in finished if each.outcome.status == "failed"},
    }
