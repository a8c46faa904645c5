"""Running a study from the command line, and the exit code of how it ended."""

from __future__ import annotations

import os

from study.cli.app import Exit, err
from study.config.definition import Study
from study.storage.workspace import Workspace


def run_to_its_end(study: Study, place: Workspace, address: str | None) -> int:
    """Run what is missing.

    Args:
        study: the resolved study file.
        place: where everything is kept.
        address: of the Ray cluster; None takes $RAY_ADDRESS, or starts one here.
    """
    from analysis.figures.job_overlay import draw_job
    from study.execution.launch import run as launch
    from study.progress import Progress

    with Progress(err) as progress:
        ending = launch(study, place, progress, address or os.environ.get("RAY_ADDRESS"), draw_job)
    if ending.spent is not None:
        done = sum(ending.statuses.values())
        err.print(
            f"{ending.spent}; {done} jobs have ended. With a larger budget the same command goes on", soft_wrap=True
        )
        return Exit.BUDGET
    if not ending.complete:
        err.print("interrupted; run the same command again to go on")
        return Exit.INTERRUPTED
    counts = ", ".join(f"{count} {status}" for status, count in sorted(ending.statuses.items()))
    err.print(f"{study.spec.name} is finished: {counts}. Next: study report {study.spec.name}")
    return Exit.FAILED_TRIALS if ending.statuses.get("failed") else Exit.OK
