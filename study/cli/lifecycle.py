"""`study stop`, `retry` and `extend`: what is done to a study that has begun."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import time
from dataclasses import replace
from typing import Annotated, Any

import typer

from study.cli.app import Exit, Root, RunName, app, err, workspace
from study.cli.run import run_to_its_end
from study.config.definition import Study
from study.config.documents import Document
from study.scheduling.state import StudyState
from study.storage.events import ConfigurationChosen, JobFinished, JobRetried, events_of_type
from study.storage.ledger import Ledger
from study.storage.lock import StudyLocked, driver_lock, holder
from study.storage.workspace import StudyFolder
from study.tracking.record import RecordFile
from trainables.common.errors import UserError

STOP_TIMEOUT = 120.0
"""Seconds that a driver has to end."""


@app.command()
def stop(name: RunName, root: Root = None) -> int:
    """End a running study cleanly, as Ctrl-C does; the same `study run` goes on later."""
    folder = workspace(root).existing_study(name)
    driver = holder(folder.lock)
    if driver is None:
        raise UserError(f"study '{name}' is not running")
    if driver.host != socket.gethostname():
        raise StudyLocked(f"study '{name}' is run on host {driver.host} (pid {driver.pid}); stop it there")
    os.kill(driver.pid, signal.SIGINT)
    until = time.monotonic() + STOP_TIMEOUT
    while holder(folder.lock) is not None:
        if time.monotonic() > until:
            raise StudyLocked(f"the driver of '{name}' (pid {driver.pid}) has not ended after {STOP_TIMEOUT:g} s")
        time.sleep(0.2)
    err.print(f"{name} is stopped; run the same command again to go on", highlight=False)
    return Exit.OK


@app.command()
def retry(
    name: RunName,
    failed: Annotated[bool, typer.Option("--failed", help="The jobs that failed: what this command is for.")] = False,
    root: Root = None,
) -> int:
    """Offer failed jobs again to the next `study run`."""
    if not failed:
        raise UserError("study retry: say what is to be tried again: --failed")
    folder = workspace(root).existing_study(name)
    with driver_lock(folder.lock), contextlib.closing(Ledger(folder.ledger, time.time)) as ledger:
        chosen = {choice.cell for choice in events_of_type(ledger.events, ConfigurationChosen)}
        outcomes = StudyState.replay(ledger.events).outcomes.values()
        ended = [each for each in outcomes if each.outcome.status == "failed"]
        over = [each for each in ended if each.kind == "trial" and each.cell in chosen]
        again = [each for each in ended if each not in over]
        for each in sorted(again, key=lambda each: each.cell is not None):
            _forget(folder, each)
            ledger.append(JobRetried.of(each))
    left = f"; {len(over)} failed trials stay, as their cells have chosen without them" if over else ""
    err.print(f"{len(again)} jobs will be run again by the next study run{left}", highlight=False)
    return Exit.OK


@app.command()
def extend(
    name: RunName,
    replicates: Annotated[int | None, typer.Option(min=1, help="Of each cell, in all.")] = None,
    trials: Annotated[int | None, typer.Option(min=1, help="Of each cell's search, in all.")] = None,
    root: Root = None,
    address: Annotated[str | None, typer.Option(help="Ray cluster to join.")] = None,
) -> int:
    """Run a study with more replicates or trials than it has.

    Everything that has been run stays; a cell whose further trials find a better configuration trains its replicates
    anew with that one.
    """
    place = workspace(root)
    folder = place.existing_study(name)
    spec = json.loads(folder.plan.read_text())["spec"]
    if replicates is None and trials is None:
        raise UserError("study extend: say by what: --replicates or --trials")
    before = {"replicates": spec["replicates"], "trials": spec["search"]["trials"]}
    for option, asked in (("replicates", replicates), ("trials", trials)):
        if asked is not None and asked <= before[option]:
            raise UserError(f"--{option}: found {asked}, the study has {before[option]} already, expected more")
    if trials is not None and not spec["search"]["space"]:
        raise UserError(f"--trials: '{name}' searches nothing, so it has no trials")
    changed = {
        "replicates": replicates or spec["replicates"],
        "search": {**spec["search"], "trials": trials or spec["search"]["trials"]},
    }
    return run_to_its_end(as_begun(spec, **changed), place, address)


def as_begun(spec: dict[str, Any], **changes: Any) -> Study:
    """A study as its plan describes it, with some of its top-level settings changed."""
    factors = {factor["name"]: factor["levels"] for factor in spec["factors"]}
    return Study(Document({**spec, "factors": factors, **changes}, {}))


def _forget(folder: StudyFolder, finished: JobFinished) -> None:
    """Let the job's folder, and what MLflow knows of it, be open again."""
    job = folder.job(finished.job)
    job.result.unlink(missing_ok=True)
    (job.root / "error.txt").unlink(missing_ok=True)
    records = RecordFile(folder)
    record = records.read().get(finished.job)
    if record is not None:
        records.append(finished.job, replace(record, closed=False))
