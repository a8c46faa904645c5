"""`study stop`, `retry`, `extend` and `repair`: commands for a study that has been run before."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from study.cli.app import Address, Exit, Root, RunName, app, err, workspace
from study.cli.run import run_study
from trainables.common.errors import UserError

if TYPE_CHECKING:
    from study.config.definition import Study
    from study.storage.events import JobFinished
    from study.storage.workspace import StudyFolder

STOP_TIMEOUT = 120.0
"""Seconds to wait for a driver to end."""


@app.command()
def stop(name: RunName, root: Root = None) -> int:
    """Stop a running study cleanly, as Ctrl-C does.

    `study run` continues it later.
    """
    from study.storage.lock import Locked, holder

    folder = workspace(root).existing_study(name)
    driver = holder(folder.lock)
    if driver is None:
        raise UserError(f"study '{name}' is not running")
    if driver.host != socket.gethostname():
        raise Locked(f"study '{name}' runs on host {driver.host} (pid {driver.pid}). Fix: stop it there")
    os.kill(driver.pid, signal.SIGINT)
    err.print(f"stopping {name} (pid {driver.pid}); its running jobs save and end", highlight=False)
    until = time.monotonic() + STOP_TIMEOUT
    while holder(folder.lock) is not None:
        if time.monotonic() > until:
            raise Locked(f"the driver of '{name}' (pid {driver.pid}) still runs after {STOP_TIMEOUT:g} s")
        time.sleep(0.2)
    err.print(f"{name} is stopped. Run the same command again to continue", highlight=False)
    return Exit.SUCCESS


@app.command()
def retry(name: RunName, root: Root = None) -> int:
    """Let the next `study run` repeat the failed jobs.

    A failed trial stays failed if its cell has already chosen its configuration.
    """
    from study.scheduling.state import StudyState
    from study.storage.events import ConfigurationChosen, JobRetried, events_of_type
    from study.storage.ledger import Ledger
    from study.storage.lock import driver_lock
    from study.tracking.record import RecordFile

    folder = workspace(root).existing_study(name)
    with driver_lock(folder.lock), contextlib.closing(Ledger(folder.ledger, time.time)) as ledger:
        chosen = {choice.cell for choice in events_of_type(ledger.events, ConfigurationChosen)}
        outcomes = StudyState.replay(ledger.events).outcomes.values()
        failed = [job for job in outcomes if job.outcome.status == "failed"]
        kept = [job for job in failed if job.kind == "trial" and job.cell in chosen]
        retried = [job for job in failed if job not in kept]
        for job in sorted(retried, key=lambda job: job.cell is not None):
            _reset(folder, job)
            ledger.append(JobRetried.of(job))
        RecordFile(folder).reopen(job.job for job in retried)
    note = f"; {len(kept)} failed trials stay failed, as their cells have chosen without them" if kept else ""
    err.print(f"{len(retried)} jobs will run again at the next study run{note}", highlight=False)
    return Exit.SUCCESS


@app.command()
def extend(
    name: RunName,
    replicates: Annotated[int | None, typer.Option(min=1, help="Total number of replicates of each cell.")] = None,
    trials: Annotated[int | None, typer.Option(min=1, help="Total number of trials of each cell's search.")] = None,
    root: Root = None,
    address: Address = None,
) -> int:
    """Run a study with more replicates or trials; after an interruption the same command continues.

    Finished jobs are kept. If the new trials find a better configuration for a cell, the cell's replicates are trained
    again with it.
    """
    from study.config.spec import Replicates
    from study.storage.plan_file import read_plan

    place = workspace(root)
    folder = place.existing_study(name)
    recorded = read_plan(folder.plan)
    spec = recorded["spec"]
    if replicates is None and trials is None:
        raise UserError("study extend: no option given. Fix: add --replicates or --trials")
    runs = Replicates.expand(spec["replicates"])
    before = {"replicates": runs["runs"], "trials": spec["search"]["trials"]}
    for option, asked in (("replicates", replicates), ("trials", trials)):
        if asked is not None and asked < before[option]:
            raise UserError(f"--{option}: not an extension (found {asked}, expected {before[option]} or more)")
    if trials is not None and not spec["search"]["space"]:
        raise UserError(f"--trials: study '{name}' has no search space, so it has no trials")
    changed = {
        "replicates": {**runs, "runs": replicates or runs["runs"]},
        "search": {**spec["search"], "trials": trials or spec["search"]["trials"]},
    }
    return run_study(study_from_plan(recorded, **changed), place, address)


@app.command()
def repair(name: RunName, root: Root = None, address: Address = None) -> int:
    """Run the jobs again that have finished and whose files are lost or damaged, and whatever else is left.

    These are replicates without their results and shared jobs without their artifact. What is needed of a trial is in
    the ledger.
    """
    from study.storage.plan_file import read_plan

    place = workspace(root)
    recorded = read_plan(place.existing_study(name).plan)
    return run_study(study_from_plan(recorded), place, address, repair_lost=True)


def study_from_plan(plan: Mapping[str, Any], **changes: Any) -> Study:
    """Return the study that a plan describes.

    Args:
        plan: content of `plan.json`.
        changes: top-level settings that replace the plan's.
    """
    from study.config.definition import Study
    from study.config.documents import Document
    from study.plugins.recorded import recorded_sources

    spec, orders = plan["spec"], plan.get("factors", {})  # earlier versions sorted the levels of `spec`
    factors = {}
    for factor in spec["factors"]:
        levels = factor["levels"]
        factors[factor["name"]] = {level: levels[level] for level in orders.get(factor["name"], levels)}
    return Study(Document({**spec, "factors": factors, **changes}, {}), recorded_sources(plan))


def _reset(folder: StudyFolder, finished: JobFinished) -> None:
    """Remove the result and error of a failed job."""
    job = folder.job(finished.job)
    job.result.unlink(missing_ok=True)
    (job.root / "error.txt").unlink(missing_ok=True)
