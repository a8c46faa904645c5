"""`study status`: the progress of a study, from its plan and ledger."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from study.cli.app import Json, Root, RunName, app, out, workspace
from study.cli.label_text import label_line
from study.word_table import WordTable
from trainables.common.label_counts import LabelCounts

if TYPE_CHECKING:
    from study.planning.jobs import JobStatus
    from study.storage.events import JobFinished
    from study.storage.workspace import StudyFolder

STATUSES: tuple[JobStatus, ...] = ("completed", "stopped", "failed")


@app.command()
def status(name: RunName, root: Root = None, as_json: Json = False) -> None:
    """Print the progress of a study and the reasons of failures."""
    progress = status_of(workspace(root).existing_study(name))
    if as_json:
        out.print_json(json.dumps(progress))
        return
    reused = ("reused",) if any(counts["reused"] for counts in progress["jobs"].values()) else ()
    columns = ("planned", *reused, *STATUSES)
    table = WordTable(("", *columns))
    for kind, counts in progress["jobs"].items():
        table.add_row(kind, *(str(counts[column]) for column in columns))
    driver = progress["driver"]
    where = f" (pid {driver['pid']} on {driver['host']}{_left(progress['seconds_left'])})" if driver else ""
    failures = f", {len(progress['failures'])} failed" if progress["failures"] else ""
    out.print(f"{progress['name']}: {progress['state']}{where}{failures}", markup=False, soft_wrap=True)
    out.print(table)
    for job in progress["running"]:
        out.print(f"running: {job['label']} {job['epoch']}/{job['epochs']}", markup=False, soft_wrap=True)
    if progress["labels"]:
        out.print(label_line(LabelCounts(**each) for each in progress["labels"].values()), markup=False, soft_wrap=True)
    for job, learning in progress["learning"].items():
        if job in progress["failures"]:
            continue  # its reason is the verdict
        out.print(f"{job}: {learning}", markup=False)
    for line in _failures(progress["failures"]):
        out.print(f"failed: {line}", markup=False, soft_wrap=True)


def _failures(reasons: Mapping[str, str]) -> list[str]:
    """Return a line for each failed job, and one for all jobs that were not run because the same job failed."""
    from study.planning.jobs import DEPENDENCY_FAILED

    lines = [f"{job}: {reason}" for job, reason in reasons.items() if not reason.startswith(DEPENDENCY_FAILED)]
    waiting = Counter(reason for reason in reasons.values() if reason.startswith(DEPENDENCY_FAILED))
    return lines + [f"{count} jobs not run: {reason}" for reason, count in waiting.items()]


def _left(seconds: float | None) -> str:
    return "" if seconds is None else f", about {seconds / 60:.1f} min left"


def _seconds_left(
    finished: Collection[JobFinished], jobs: Mapping[str, Mapping[str, int]], running: int
) -> float | None:
    """Return the seconds until all planned jobs have ended, from the mean time of the ended ones of each kind.

    Args:
        finished: ends of jobs.
        jobs: number of jobs by kind and status.
        running: number of jobs that run at once; 0 if the study does not run.
    """
    from study.planning.jobs import CELL_KINDS

    if not running:
        return None
    times: dict[str, list[float]] = {}
    for each in finished:
        if each.outcome.seconds:
            times.setdefault(each.kind, []).append(each.outcome.seconds)
    total = 0.0
    for kind, counts in jobs.items():
        left = counts["planned"] - counts["reused"] - sum(counts[status] for status in STATUSES)
        alike = times.get(kind) or [
            seconds for other in CELL_KINDS if kind in CELL_KINDS for seconds in times.get(other, ())
        ]
        if left > 0 and not alike:
            return None
        total += max(0, left) * (sum(alike) / len(alike) if alike else 0.0)
    return total / running


def status_of(folder: StudyFolder) -> dict[str, Any]:
    """Return a study's progress: its `name`, `state` (running, finished or unfinished) and `jobs` by kind and status.

    Pretrainings that the workspace had of other studies are `reused`; they count as planned, and run no more.

    Of a study that runs, `driver` has the host and pid, `running` the jobs with their epochs, and `seconds_left` an
    estimate from the jobs that have ended; None before a job of each kind that is left has ended.
    Verdicts on pretrainings are under `learning`, and reasons of failures under `failures`, by job. The numbers of
    labelled subjects are under `labels`, by cell; a study that an earlier version planned has none.
    """
    from study.planning.finished import all_ended
    from study.planning.jobs import CELL_KINDS
    from study.scheduling.state import StudyState
    from study.storage.ledger import read_ledger
    from study.storage.lock import holder
    from study.storage.plan_file import read_plan
    from study.storage.progress_file import read_progress

    plan = read_plan(folder.plan)
    state = StudyState.replay(read_ledger(folder.ledger))
    finished = state.outcomes.values()
    counts = Counter((each.kind, each.outcome.status) for each in finished)
    planned = plan["planned_jobs"]
    kinds = [*sorted({*planned, *(kind for kind, _ in counts)} - set(CELL_KINDS)), *CELL_KINDS]
    jobs = {
        kind: {
            "planned": planned.get(kind, 0),
            "reused": len(state.reused) if kind == "pretext" else 0,
            **{status: counts[kind, status] for status in STATUSES},
        }
        for kind in kinds
    }
    driver, progress = holder(folder.lock), read_progress(folder.progress)
    running = progress.running if driver is not None and progress is not None and progress.pid == driver.pid else ()
    return {
        "name": folder.name,
        "state": "running" if driver is not None else "finished" if all_ended(folder, planned) else "unfinished",
        "driver": None if driver is None else asdict(driver),
        "running": list(running),
        "seconds_left": _seconds_left(finished, jobs, len(running)),
        "jobs": jobs,
        "labels": {cell["key"]: cell["labels"] for cell in plan["cells"] if "labels" in cell},
        "learning": {
            **{each.job: each.outcome.learning.text for each in finished if each.outcome.learning is not None},
            **{each.job: f"{each.learning.text} (reused)" for each in state.reused.values()},
        },
        "failures": {each.job: each.outcome.reason for each in finished if each.outcome.status == "failed"},
    }
