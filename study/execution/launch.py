"""Launch of a study: its data, cluster, sweep and tracking; the same call resumes an interrupted study."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from study.config.definition import Study
from study.config.plain import canonical, plain
from study.execution.cluster import capacity, local_resources, preflight, ray_session, unused_gpus
from study.execution.errors import ClusterLost
from study.execution.gpus import with_gpus
from study.execution.job_driver import JobDriver
from study.execution.plan_record import describe, recorded_gpus, refuse_changes
from study.execution.repair import missing_jobs, repair
from study.execution.shared_folder import require_shared
from study.execution.sweep import Sweep
from study.planning.calibration import Calibration
from study.planning.dataset_check import labels_of_store, require_channels, require_labels
from study.planning.datasets import Dataset, prepared_in
from study.planning.jobs import Job
from study.planning.machine import this_machine
from study.planning.plan import Plan, datasets_of, finetuning_datasets
from study.progress import Progress, RunningJob
from study.scheduling.budget import BudgetSpent, BudgetTracker
from study.scheduling.prior import PriorTrials
from study.scheduling.scheduler import JobScheduler
from study.storage.artifacts import ArtifactStore
from study.storage.ledger import Ledger
from study.storage.lock import driver_lock
from study.storage.plan_file import read_plan, write_plan
from study.storage.progress_file import LaunchProgress, write_progress
from study.storage.remote import ARTIFACT, FRAMES, Storage
from study.storage.workspace import JobFolder, StudyFolder, Workspace
from study.tracking.job_upload import DrawJob
from study.tracking.tracker import Tracker
from trainables.common.errors import UserError
from trainables.data.store.frames import FrameStore
from trainables.data.store.prepare import prepare


@dataclass(frozen=True)
class StudyResult:
    """Result of a launch.

    Attributes:
        complete: True if everything planned has been run.
        statuses: number of ended jobs by status; pretrainings of other studies are "reused".
        spent: name of the spent budget that ended the launch; None without one.
        lost: number of finished jobs whose files are missing.
        untracked: MLflow's first error if it lacks a part of the record; "" if it made none.
    """

    complete: bool
    statuses: Mapping[str, int]
    spent: str | None = None
    lost: int = field(default=0, compare=False)
    untracked: str = field(default="", compare=False)


NewDriver = Callable[[JobScheduler, StudyFolder, ArtifactStore, Tracker, Progress, Storage | None], JobDriver]
"""Makes the driver of a launch's jobs."""


def run(
    study: Study,
    workspace: Workspace,
    progress: Progress,
    address: str | None = None,
    draw: DrawJob | None = None,
    *,
    repair_lost: bool = False,
) -> StudyResult:
    """Run the missing jobs of a study; return at once when it is finished.

    Args:
        study: resolved study file.
        workspace: folder of all outputs; on a cluster, storage that all nodes share.
        progress: progress display.
        address: address of the Ray cluster; None starts Ray on this machine.
        draw: function that draws the picture of a job for MLflow; None draws none.
        repair_lost: run finished jobs again whose files are lost.

    Raises:
        UserError: the study, its data or its resource requests are invalid.
        Locked: another driver runs the study.
    """
    folder = workspace.create().study(study.spec.name)
    with driver_lock(folder.lock):
        refuse_changes(folder, study)
        study = _with_gpus(study, folder, address, progress)
        _check(study, address)
        datasets = prepare_datasets(study, workspace, progress)
        plan = Plan(study, lambda settings: datasets[canonical(plain(settings))])
        if study.spec.search.prior and not folder.plan.exists():
            prior = PriorTrials(plan, workspace)
            for cell in plan.cells:
                prior.observations(cell.key)  # refused before anything is written
        return run_plan(plan, folder, datasets.values(), progress, address, draw, repair_lost=repair_lost)


def run_plan(
    plan: Plan,
    folder: StudyFolder,
    datasets: Iterable[Dataset],
    progress: Progress,
    address: str | None = None,
    draw: DrawJob | None = None,
    new_driver: NewDriver = JobDriver,
    *,
    repair_lost: bool = False,
) -> StudyResult:
    """Run the missing jobs of a plan and record them in a study's folder, which the caller has locked.

    Args:
        plan: plan of the study.
        folder: folder of the study, in the workspace that holds the artifacts.
        datasets: frame stores of the study.
        progress: progress display.
        address: address of the Ray cluster; None starts Ray on this machine.
        draw: function that draws the picture of a job for MLflow; None draws none.
        new_driver: makes the driver of the jobs.
        repair_lost: run finished jobs again whose files are lost.
    """
    begun = folder.plan.exists()
    write_plan(folder.plan, describe(plan))
    with _name_kept(folder, begun=begun), contextlib.closing(Ledger(folder.ledger, time.time)) as ledger:
        artifacts, storage = ArtifactStore(folder.workspace.artifacts), _remote_storage(plan.spec.storage, datasets)
        scheduler = JobScheduler(
            plan,
            ledger,
            _availability(artifacts, storage),
            PriorTrials(plan, folder.workspace).observations,
        )
        if repair_lost:
            again = [job.id for job in repair(scheduler, folder, artifacts, storage)]
            progress.message(f"lost, runs again: {', '.join(again)}" if again else "no files of finished jobs are lost")
        tracker = Tracker(folder.workspace, folder, plan.spec.tracking, plan.spec.title, draw)
        if scheduler.done and not tracker.behind(scheduler.outcomes):
            _record_end(folder, scheduler, ledger)
            return _result(scheduler, missing_jobs(scheduler, folder, artifacts))
        progress.record = functools.partial(_record_progress, folder)
        progress.plan(scheduler.state.ended, sum(plan.planned().values()))
        spent = None
        with _tracking(tracker, scheduler, folder):
            try:
                if not scheduler.done:
                    BudgetTracker(scheduler, time.monotonic).check()
                    _sweep(new_driver(scheduler, folder, artifacts, tracker, progress, storage), folder, address)
            except BudgetSpent as error:
                spent = str(error)
        _record_end(folder, scheduler, ledger)
        result = _result(scheduler, missing_jobs(scheduler, folder, artifacts), spent)
        return replace(result, untracked=tracker.untracked(scheduler.outcomes))


@contextlib.contextmanager
def _name_kept(folder: StudyFolder, *, begun: bool) -> Iterator[None]:
    """Leave the name of a new study free if the cluster cannot run it, so that a changed study file is not refused."""
    try:
        yield
    except UserError:
        if not begun:
            folder.plan.unlink(missing_ok=True)
        raise


def prepare_stores(study: Study, workspace: Workspace, progress: Progress) -> dict[str, FrameStore]:
    """Prepare the frame store of every dataset of a study; return them by their settings' canonical form.

    Raises:
        DataError: a dataset is missing or damaged.
    """
    key = workspace.subject_key()
    found: dict[str, FrameStore] = {}
    for settings in datasets_of(study):
        with progress.phase(f"{settings.layout.title}: preparing frames") as advance:
            found[canonical(plain(settings))] = prepare(settings, None, workspace.data, key, progress=advance)
    return found


def prepare_datasets(study: Study, workspace: Workspace, progress: Progress) -> dict[str, Dataset]:
    """Prepare and check the datasets of a study; return them by their settings' canonical form.

    Raises:
        DataError: a dataset is missing or damaged, has no labels in a split that fine-tuning needs, or lacks the
            channels that an augmentation needs.
    """
    stores, finetuned = prepare_stores(study, workspace, progress), finetuning_datasets(study)
    for settings in datasets_of(study):
        store = stores[canonical(plain(settings))]
        if settings in finetuned:
            require_labels(study, settings, labels_of_store(store))
        require_channels(study, settings, store.channel_names)
    return {name: Dataset(str(store.folder), store.fingerprint) for name, store in stores.items()}


def _with_gpus(study: Study, folder: StudyFolder, address: str | None, progress: Progress) -> Study:
    """Return the study with numbers of GPUs that suit the cluster; a finished study needs none, and keeps its own."""
    workspace = folder.workspace
    try:
        return with_gpus(study, address, progress, Calibration(workspace.calibration), prepared_in(workspace))
    except ClusterLost:
        if not folder.plan.exists():
            raise
        return study.with_gpus(recorded_gpus(read_plan(folder.plan)))


def _check(study: Study, address: str | None) -> None:
    """Refuse a study that is invalid, or never fits this machine."""
    plan = Plan(study)
    plan.check(this_machine() if address is None else None)
    if address is None:
        preflight(plan.resource_requests(), local_resources())


def _remote_storage(uri: str | None, datasets: Iterable[Dataset]) -> Storage | None:
    """Open the study's remote store and upload missing frames; return None without one."""
    if uri is None:
        return None
    storage = Storage(uri)
    for dataset in datasets:
        if not storage.has(f"data/{dataset.fingerprint}", FRAMES):
            storage.put_folder(Path(dataset.folder), f"data/{dataset.fingerprint}", FRAMES)
    return storage


def _availability(artifacts: ArtifactStore, storage: Storage | None) -> Callable[[str], bool]:
    """Return a function that tells whether jobs can read an artifact; it uploads those that only the workspace has."""
    if storage is None:
        return artifacts.has
    uploaded = storage.list_complete("artifacts", ARTIFACT)

    def has(address: str) -> bool:
        if address not in uploaded and artifacts.has(address):
            if not storage.has(f"artifacts/{address}", ARTIFACT):
                storage.put_folder(artifacts.folder(address), f"artifacts/{address}", ARTIFACT)
            uploaded.add(address)
        return address in uploaded

    return has


def _sweep(driver: JobDriver, folder: StudyFolder, address: str | None) -> None:
    plan, progress = driver.scheduler.plan, driver.progress
    again = True
    while again:
        progress.message(f"joining the Ray cluster at {address}" if address else "starting Ray on this machine")
        with ray_session(address) as resources:
            needs, total = plan.resource_requests(), capacity(resources, plan.spec.resources.max)
            preflight(needs, total, grows=address is not None and plan.spec.resources.max is None)
            require_shared(driver.paths.shared_folder)
            progress.message(f"Ray: {resources.get('CPU', 0):g} CPUs, {resources.get('GPU', 0):g} GPUs")
            if warning := unused_gpus(needs, total):
                progress.message(warning)
            again = Sweep(driver, folder.root / "ray").run()


@contextlib.contextmanager
def _tracking(tracker: Tracker, scheduler: JobScheduler, folder: StudyFolder) -> Iterator[None]:
    """Track all jobs of earlier launches, and the end of this launch."""
    tracker.start()
    for finished in scheduler.outcomes.values():
        job = scheduler.job_of(finished) or _job_on_disk(folder.job(finished.job))
        if job is not None:
            tracker.job_finished(job, finished)
    try:
        yield
    finally:
        tracker.close("FINISHED" if scheduler.done else "KILLED", scheduler.outcomes.values())


def _job_on_disk(folder: JobFolder) -> Job | None:
    """Return the job that a folder belongs to; None if the folder is lost."""
    return Job.from_plain(json.loads(folder.config.read_text())) if folder.config.exists() else None


def _record_end(folder: StudyFolder, scheduler: JobScheduler, ledger: Ledger) -> None:
    """Record how a launch ended, so that `study status` says the same as `study run`."""
    complete = scheduler.done  # may append events
    ended = LaunchProgress(os.getpid(), time.time(), complete=complete, events=len(ledger.events))
    write_progress(folder.progress, ended)


def _record_progress(folder: StudyFolder, running: Sequence[RunningJob]) -> None:
    jobs = [{"label": job.label, "epoch": job.epoch, "epochs": job.epochs} for job in running]
    write_progress(folder.progress, LaunchProgress(os.getpid(), time.time(), jobs))


def _result(scheduler: JobScheduler, missing: Sequence[Job], spent: str | None = None) -> StudyResult:
    statuses: Counter[str] = Counter(finished.outcome.status for finished in scheduler.outcomes.values())
    statuses["reused"] = len(scheduler.state.reused)
    return StudyResult(scheduler.done, dict(+statuses), spent, lost=len(missing))
