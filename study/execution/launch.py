"""Running a study: its data, its cluster, its sweep, and taking all of it up again after an interruption."""

from __future__ import annotations

import contextlib
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from study.config.definition import Study
from study.config.plain import canonical, plain
from study.execution.cluster import capacity, local_resources, preflight, ray_session
from study.execution.sweep import Sweep
from study.planning.datasets import Dataset
from study.planning.differences import spec_differences
from study.planning.jobs import Job
from study.planning.plan import Plan, datasets_of
from study.progress import Progress
from study.scheduling.budget import BudgetSpent, BudgetTracker
from study.scheduling.objectives import OBJECTIVE
from study.scheduling.scheduler import JobScheduler
from study.storage.artifacts import ArtifactStore
from study.storage.ledger import Ledger
from study.storage.lock import driver_lock
from study.storage.remote import ARTIFACT, FRAMES, Storage
from study.storage.workspace import JobFolder, StudyFolder, Workspace
from study.tracking.job_upload import DrawJob
from study.tracking.tracker import Tracker
from trainables.common.errors import UserError
from trainables.common.files import write_json
from trainables.data.store.frames import FrameStore
from trainables.data.store.prepare import prepare

NOT_COMPARED = ("title", "budget", "resources", "storage", "tracking")
"""Parts of a study file that may change under a used name, as they change no result."""


@dataclass(frozen=True)
class StudyResult:
    """How a launch ended: jobs by status, whether everything planned has been run, and what is spent if that is why."""

    complete: bool
    statuses: Mapping[str, int]
    spent: str | None = None


def run(
    study: Study, workspace: Workspace, progress: Progress, address: str | None = None, draw: DrawJob | None = None
) -> StudyResult:
    """Run what is missing of `study`; nothing, when it is finished.

    Args:
        study: the resolved study file.
        workspace: where everything is kept; on a cluster, storage that all nodes see.
        progress: told what happens.
        address: of the Ray cluster; None starts one on this machine.
        draw: makes the picture of a job that MLflow shows.

    Raises:
        UserError: the study, its data or what it asks of the cluster is wrong.
        StudyLocked: another driver runs it.
    """
    folder = workspace.study(study.spec.name)
    with driver_lock(folder.lock):
        _refuse_changes(folder, study)
        undecoded = Plan(study)
        undecoded.check()
        if address is None:
            preflight(undecoded.resource_requests(), local_resources())
        datasets = prepare_datasets(study, workspace, progress)
        plan = Plan(study, lambda settings: datasets[canonical(plain(settings))])
        write_json(folder.plan, describe(plan))
        with contextlib.closing(Ledger(folder.ledger, time.time)) as ledger:
            artifacts = ArtifactStore(workspace.artifacts)
            storage = _storage(study, datasets)
            scheduler = JobScheduler(plan, ledger, _known(artifacts, storage))
            tracker = Tracker(workspace, folder, study.spec.tracking, study.spec.title, draw)
            if scheduler.done and not tracker.behind(scheduler.outcomes):
                return _study_result(scheduler)
            progress.plan(len(scheduler.outcomes), sum(plan.planned().values()))
            spent = None
            with _tracking(tracker, scheduler, folder):
                try:
                    if not scheduler.done:
                        BudgetTracker(scheduler, time.monotonic).check()
                        _sweep(Sweep(scheduler, folder, artifacts, tracker, progress, storage), plan, address, progress)
                except BudgetSpent as error:
                    spent = str(error)
            return _study_result(scheduler, spent)


def prepare_datasets(study: Study, workspace: Workspace, progress: Progress) -> dict[str, Dataset]:
    """The frame store of every dataset that a cell of the study uses, by its settings' canonical form."""
    key = workspace.subject_key()
    found: dict[str, Dataset] = {}
    for settings in datasets_of(study):
        with progress.phase(f"{settings.layout.title}: preparing frames") as advance:
            store = prepare(settings, None, workspace.data, key, progress=advance)
        found[canonical(plain(settings))] = Dataset(str(store.folder), store.fingerprint)
    return found


def _storage(study: Study, datasets: Mapping[str, Dataset]) -> Storage | None:
    """The study's store, with its frames in it."""
    if study.spec.storage is None:
        return None
    storage = Storage(study.spec.storage)
    for dataset in datasets.values():
        if not storage.has(f"data/{dataset.fingerprint}", FRAMES):
            storage.put_folder(Path(dataset.folder), f"data/{dataset.fingerprint}", FRAMES)
    return storage


def _known(artifacts: ArtifactStore, storage: Storage | None) -> Callable[[str], bool]:
    """Whether jobs can have an artifact; what only the workspace has is brought to the store."""
    if storage is None:
        return artifacts.has
    there = storage.list_complete("artifacts", ARTIFACT)

    def has(address: str) -> bool:
        if address not in there and artifacts.has(address):
            if not storage.has(f"artifacts/{address}", ARTIFACT):
                storage.put_folder(artifacts.folder(address), f"artifacts/{address}", ARTIFACT)
            there.add(address)
        return address in there

    return has


def describe(plan: Plan) -> dict[str, Any]:
    """What is written into plan.json, for reports and for later launches to compare with."""
    spec = plan.spec
    data = plan.dataset(spec.data)
    return {
        "name": spec.name,
        "title": spec.title,
        "spec": plan.study.document(),
        "design": plain(spec.design),
        "factors": {factor.name: list(factor.levels) for factor in spec.factors},
        "cells": [{"key": cell.key, "levels": dict(cell.levels)} for cell in plan.cells],
        "search": {"metric": OBJECTIVE, "objectives": list(spec.search.objectives), "trials": spec.search.trials},
        "replicates": spec.replicates,
        "planned_jobs": plan.planned(),
        "frames": {"data": data.folder},
        "classes": list(FrameStore.open(Path(data.folder)).classes),
    }


def _refuse_changes(folder: StudyFolder, study: Study) -> None:
    """A study that has begun under this name must be the same study."""
    if not folder.plan.exists():
        return
    before = json.loads(folder.plan.read_text())["spec"]
    now = study.document()
    if now["replicates"] > before["replicates"]:  # which only adds, as do more trials
        before = {**before, "replicates": now["replicates"]}
    if now["search"]["trials"] > before["search"]["trials"]:
        before = {**before, "search": {**before["search"], "trials": now["search"]["trials"]}}
    differences = spec_differences(_compared(before), _compared(now))
    if differences:
        shown = "\n  ".join(differences[:20])
        raise UserError(
            f"study '{folder.name}' was begun with another study file; it differs in\n  {shown}\n"
            f"give this one another name (--name), go on with the one that was begun, or remove {folder.root}"
        )


def _compared(document: Mapping[str, Any]) -> dict[str, Any]:
    return {part: value for part, value in document.items() if part not in NOT_COMPARED}


def _sweep(sweep: Sweep, plan: Plan, address: str | None, progress: Progress) -> None:
    again = True
    while again:
        with ray_session(address) as resources:
            preflight(plan.resource_requests(), capacity(resources, plan.spec.resources.max))
            progress.message(f"Ray: {resources.get('CPU', 0):g} CPUs, {resources.get('GPU', 0):g} GPUs")
            again = sweep.run()


@contextlib.contextmanager
def _tracking(tracker: Tracker, scheduler: JobScheduler, folder: StudyFolder) -> Iterator[None]:
    """MLflow told of everything that ended before this launch, and of how this launch ends."""
    tracker.start()
    for finished in scheduler.outcomes.values():
        tracker.job_finished(scheduler.job_of(finished) or _job_on_disk(folder.job(finished.job)), finished)
    try:
        yield
    finally:
        tracker.close("FINISHED" if scheduler.done else "KILLED")


def _job_on_disk(folder: JobFolder) -> Job:
    return Job.from_plain(json.loads(folder.config.read_text()))


def _study_result(scheduler: JobScheduler, spent: str | None = None) -> StudyResult:
    statuses: Counter[str] = Counter(finished.outcome.status for finished in scheduler.outcomes.values())
    return StudyResult(scheduler.done, dict(statuses), spent)
