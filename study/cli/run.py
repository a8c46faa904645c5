"""`study run`: runs a study and returns an exit code for the way it ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from study.cli.app import (
    Address,
    DataPaths,
    Exit,
    Overrides,
    Profile,
    Root,
    RunAs,
    StudySource,
    app,
    err,
    load,
    workspace,
)
from study.cli.console import discard_output, reader_gone
from study.cli.rehearse import rehearsal_due, rehearse_study
from study.cli.termination import CONTINUE, interrupted

if TYPE_CHECKING:
    from study.config.definition import Study
    from study.storage.workspace import Workspace


@app.command()
def run(
    source: StudySource,
    profile: Profile = None,
    overrides: Overrides = None,
    data: DataPaths = None,
    run_as: RunAs = None,
    root: Root = None,
    address: Address = None,
    rehearsal: Annotated[
        bool,
        typer.Option(
            "--rehearse/--no-rehearse",
            help="Rehearse a new study of more than an hour first, and do not start it if a part of it would fail.",
        ),
    ] = True,
) -> int:
    """Run every job of a study that has not finished yet.

    After an interruption, run the same command again: it continues from the last checkpoints.
    """
    place = workspace(root)
    err.print(f"starting {source} in {place.root}", markup=False, highlight=False, soft_wrap=True)
    study = load(source, profile, overrides, data, run_as)
    if rehearsal and rehearsal_due(study, place, address):
        code = rehearse_study(study, place, address)
        if code != Exit.SUCCESS:
            err.print("not started. Fix: correct the problems above, or run with --no-rehearse", soft_wrap=True)
            return code
    return run_study(study, place, address)


def run_study(study: Study, place: Workspace, address: str | None, *, repair_lost: bool = False) -> int:
    """Run what is missing of a study, print how it ended, and return the exit code.

    Args:
        study: the resolved study file.
        place: workspace of the study.
        address: address of a Ray cluster; None starts Ray on this machine.
        repair_lost: run finished jobs again whose files are lost.
    """
    from analysis.figures.job_overlay import draw_job
    from study.execution.launch import run as launch
    from study.progress import Progress

    try:
        with Progress(err) as progress:
            result = launch(study, place, progress, address, draw_job, repair_lost=repair_lost)
    except SystemExit:
        if not reader_gone():
            raise
        discard_output()  # nobody reads the progress any more (`study run STUDY 2>&1 | head`)
        return Exit.INTERRUPTED
    if result.spent is not None:
        done = sum(result.statuses.values())
        err.print(
            f"{result.spent}; {done} jobs have ended. Fix: raise the budget, then run the same command again",
            soft_wrap=True,
        )
        return Exit.BUDGET
    if not result.complete:
        err.print(CONTINUE)
        return interrupted()
    counts = ", ".join(f"{count} {status}" for status, count in sorted(result.statuses.items()))
    err.print(f"{study.spec.name} is finished: {counts}. Next: study report {study.spec.name}")
    if result.lost:
        text = f"warning: the files of {result.lost} finished jobs are missing. Fix: study repair {study.spec.name}"
        err.print(text, markup=False, soft_wrap=True)
    return Exit.FAILED_JOBS if result.statuses.get("failed") else Exit.SUCCESS
