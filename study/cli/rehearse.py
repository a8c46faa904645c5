"""`study rehearse`: two steps of every configuration of a study, before its first long job."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

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
    out,
    workspace,
)
from study.word_table import WordTable

if TYPE_CHECKING:
    from study.config.definition import Study
    from study.rehearsal.result import Failure, Rehearsal, RehearsedJob
    from study.storage.workspace import StudyFolder, Workspace

REHEARSED_HOURS = 1.0
"""Hours on one worker above which `study run` rehearses a study first."""

NAMED_CELLS = 3
"""Number of cells that a message names; of more it says how many."""


@app.command()
def rehearse(
    source: StudySource,
    profile: Profile = None,
    overrides: Overrides = None,
    data: DataPaths = None,
    run_as: RunAs = None,
    root: Root = None,
    address: Address = None,
) -> int:
    """Run two steps of every configuration of a study, and print all that would fail.

    Every stage runs at its real sizes on the real data, is stopped after its first step and resumed, and hands its
    weights on; two subjects of the test split are segmented. Memory, seconds a step and the hours of the study follow.
    The study itself is not started.
    """
    return rehearse_study(load(source, profile, overrides, data, run_as), workspace(root), address)


def rehearse_study(study: Study, place: Workspace, address: str | None) -> int:
    """Rehearse a study, print what it found, and return the exit code."""
    from analysis.figures.job_overlay import draw_job
    from study.progress import Progress
    from study.rehearsal.record import record_pass
    from study.rehearsal.rehearse import errors_file
    from study.rehearsal.rehearse import rehearse as run_rehearsal

    with Progress(err) as progress:
        result = run_rehearsal(study, place, progress, address, draw_job, _write_report)
    _print(study.spec.name, result)
    if result.passed:
        record_pass(study, place)
    tracebacks = errors_file(place, study.spec.name)
    if tracebacks.exists():
        err.print(f"tracebacks: {tracebacks}", markup=False, soft_wrap=True)
    return Exit.SUCCESS if result.passed else Exit.USAGE


def rehearsal_due(study: Study, place: Workspace, address: str | None) -> bool:
    """Return True for a study that has not begun, was not rehearsed yet, and takes more than an hour.

    The hours are measured roughly. A study whose cost cannot be measured is rehearsed, which finds out why.
    """
    from study.planning.calibration import Calibration
    from study.planning.datasets import prepared_in
    from study.planning.estimate import estimate
    from study.planning.finished import finished_work
    from study.planning.gpu_share import with_numbers
    from study.planning.machine import free_gigabytes, this_machine
    from study.planning.plan import Plan
    from study.rehearsal.record import passed_before

    name = study.spec.name
    if place.study(name).ledger.exists() or passed_before(study, place):
        return False
    machine, rates, datasets = this_machine(), Calibration(place.calibration), prepared_in(place)
    plan = Plan(with_numbers(study, machine.gpus, rates, datasets), datasets)
    plan.check(machine if address is None else None)
    try:
        cost = estimate(plan, rates, finished_work(name, place), rough=True, free=free_gigabytes())
        return cost.total > REHEARSED_HOURS
    except Exception:  # of a plug-in, for example, which the rehearsal reports with its place
        return True


def _write_report(folder: StudyFolder) -> None:
    from analysis.report.report import write_report

    write_report(folder, Console(file=io.StringIO()))


def _print(name: str, result: Rehearsal) -> None:
    """Print the notes, a table of the jobs, the hours, and everything that would fail."""
    from study.cli.plan import print_hours

    for note in result.notes:
        out.print(note, markup=False, soft_wrap=True)
    if result.jobs:
        out.print(_table(result.jobs))
    if result.cost is not None:
        print_hours(result.cost, out)
    else:
        out.print("hours: unknown until every configuration runs")
    for failure in result.failures:
        out.print(Text.assemble(("fails", "bold red"), f" {_line(failure)}"), soft_wrap=True)
    for skipped in result.skipped:
        out.print(Text.assemble(("not run", "bold yellow"), f" {_line(skipped)}"), soft_wrap=True)
    count = len(result.failures)
    ended = f"{name}: every configuration runs" if result.passed else f"{name}: {count} {_plural(count)}"
    out.print(ended, markup=False, soft_wrap=True)


def _plural(count: int) -> str:
    return "problem" if count == 1 else "problems"


def _table(jobs: Sequence[RehearsedJob]) -> WordTable:
    on_gpu = any(job.gpu_gigabytes for job in jobs)
    table = WordTable(("job", "cells", "memory", *(["GPU memory"] if on_gpu else []), "seconds a step", "resumed"))
    for job in jobs:
        step = "" if math.isnan(job.seconds_per_step) else f"{job.seconds_per_step:.3g}"
        gpu = [f"{job.gpu_gigabytes:.2f} GB"] if on_gpu else []
        resumed = "yes" if job.resumed else "no checkpoint"
        table.add_row(job.label, str(len(job.cells)), f"{job.gigabytes:.2f} GB", *gpu, step, resumed)
    return table


def _line(failure: Failure) -> str:
    """Return a failure as one line: part, cells, reason."""
    named = "; ".join(failure.cells[:NAMED_CELLS])
    more = len(failure.cells) - NAMED_CELLS
    cells = f" ({named}{f' and {more} more cells' if more > 0 else ''})" if failure.cells else ""
    return f"{failure.where}{cells}: {failure.reason}"
