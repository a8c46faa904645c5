"""Rehearsal of a study in a workspace of its own, which is removed afterwards."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from study.config.definition import Study
from study.config.plain import canonical, plain
from study.execution.cluster import local_resources, preflight
from study.execution.gpus import with_gpus
from study.execution.launch import prepare_stores, run_plan
from study.planning.calibration import Calibration
from study.planning.dataset_check import label_problems, labels_of_store
from study.planning.datasets import Dataset
from study.planning.estimate import estimate
from study.planning.machine import this_machine
from study.planning.plan import Plan, finetuning_datasets
from study.progress import Progress
from study.rehearsal.arms import Arm, RehearsalPlan, arms_of
from study.rehearsal.crowding import crowded
from study.rehearsal.driver import RehearsalDriver
from study.rehearsal.outcomes import RehearsalOutcomes
from study.rehearsal.result import Failure, Rehearsal, together
from study.rehearsal.samples import explain
from study.stages.downstream import DownstreamStage
from study.storage.lock import driver_lock, holder
from study.storage.remote import Storage
from study.storage.workspace import StudyFolder, Workspace
from study.tracking.job_upload import DrawJob
from trainables.common.files import write_text
from trainables.data.settings import DataSettings
from trainables.data.store.frames import FrameStore

WriteReport = Callable[[StudyFolder], None]
"""Writes the report of a study."""


def rehearse(
    study: Study,
    workspace: Workspace,
    progress: Progress,
    address: str | None = None,
    draw: DrawJob | None = None,
    write_report: WriteReport | None = None,
) -> Rehearsal:
    """Run two steps of every distinct configuration of a study, from its data to its report.

    The study's ledger, artifacts and records in MLflow are not touched; its frame stores are prepared and shared, and
    the measured rates are stored for `study plan`.

    Args:
        study: resolved study file.
        workspace: workspace of the study.
        progress: progress display.
        address: address of the Ray cluster; None starts Ray on this machine.
        draw: function that draws the picture of a job for MLflow; None draws none.
        write_report: function that writes the report; None writes none.

    Raises:
        UserError: the study's data are missing or damaged, or a request never fits this machine.
        KeyboardInterrupt: the rehearsal was interrupted.
    """
    study = with_gpus(study, address, progress)  # whole ones, so that each job's memory is measured
    plan, machine = Plan(study), this_machine() if address is None else None
    if machine is not None:
        preflight(plan.resource_requests(), local_resources())
    stores = prepare_stores(study, workspace.create(), progress)
    datasets = {name: Dataset(str(store.folder), store.fingerprint) for name, store in stores.items()}

    def find(settings: DataSettings) -> Dataset:
        return datasets[canonical(plain(settings))]

    refused = [Failure((cell,), "settings", problem) for cell, problem in plan.problems(machine)]
    refused += _label_failures(study, stores)
    known = {cell for failure in refused for cell in failure.cells}
    arms = arms_of(study, find, lambda cell, why: refused.append(Failure((cell,), "settings", why)), known)
    result, further = Rehearsal([], refused, notes=_notes(plan, arms)), list[Failure]()
    if arms:
        with _private_workspace(study, workspace) as folder:
            rehearsal = RehearsalPlan(study, find, [arm.cell for arm in arms], folder.name)
            with _removed_from_store(rehearsal, folder):
                ran = run_plan(rehearsal, folder, datasets.values(), progress, address, draw, RehearsalDriver)
            if not ran.complete:
                raise KeyboardInterrupt
            outcomes = RehearsalOutcomes(rehearsal, arms, folder)
            outcomes.record_rates(Calibration(workspace.calibration))
            result = _with_outcomes(result, outcomes)
            further += _record_failures(result, folder, ran.untracked, write_report)
            if machine is not None:
                further += crowded(outcomes.demands(plan), machine)
        if result.passed:  # the cost of an arm that fails cannot be measured
            result = replace(result, cost=estimate(plan, Calibration(workspace.calibration)))
    failures = together([*result.failures, *further])
    return replace(result, failures=failures, skipped=together(result.skipped))


def errors_file(workspace: Workspace, study: str) -> Path:
    """Return the file with the tracebacks of a study's last rehearsal."""
    return workspace.rehearsals / f"{study}.errors.txt"


@contextlib.contextmanager
def _private_workspace(study: Study, workspace: Workspace) -> Iterator[StudyFolder]:
    """Yield the rehearsal's locked folder in a workspace that only its owner may read; remove that workspace after."""
    workspace.rehearsals.mkdir(exist_ok=True)
    _remove_killed(workspace)
    errors_file(workspace, study.spec.name).unlink(missing_ok=True)
    root = Path(tempfile.mkdtemp(dir=workspace.rehearsals, prefix=f"{study.spec.name}-"))
    folder = Workspace(root).study(root.name)
    try:
        with driver_lock(folder.lock):
            yield folder
    finally:
        tracebacks = _tracebacks(folder)
        if tracebacks:
            write_text(errors_file(workspace, study.spec.name), tracebacks)
        shutil.rmtree(root, ignore_errors=True)


def _remove_killed(workspace: Workspace) -> None:
    """Remove the private workspaces of rehearsals whose process was killed: nobody holds their locks."""
    for root in workspace.rehearsals.iterdir():
        lock = Workspace(root).study(root.name).lock
        if lock.exists() and holder(lock) is None:
            shutil.rmtree(root, ignore_errors=True)


def _tracebacks(folder: StudyFolder) -> str:
    """Return the tracebacks of a study's internal errors, each below the name of its job."""
    files = sorted((folder.root / "jobs").glob("*/error.txt"))
    return "\n".join(f"{file.parent.name}\n{file.read_text()}" for file in files)


def _label_failures(study: Study, stores: Mapping[str, FrameStore]) -> list[Failure]:
    """Return the cells that have too few labelled subjects."""
    found: list[Failure] = []
    for settings in finetuning_datasets(study):
        labelled = labels_of_store(stores[canonical(plain(settings))])
        found += [Failure((cell,), "labels", why) for cell, why in label_problems(study, settings, labelled)]
    return found


def _notes(plan: Plan, arms: list[Arm]) -> list[str]:
    """Return what of a study is rehearsed."""
    count = len({cell for arm in arms for cell in arm.cells})
    alike = f"{count} cells have {len(arms)} different configurations" if count != len(arms) else f"{count} cells"
    ranges = {path: choice for cell in plan.cells for path, choice in plan.search(cell.key).space.items()}
    return [f"{alike}, each rehearsed with two steps", *(f"search space: {line}" for line in explain(ranges))]


def _with_outcomes(result: Rehearsal, outcomes: RehearsalOutcomes) -> Rehearsal:
    return replace(
        result,
        jobs=outcomes.jobs(),
        failures=[*result.failures, *outcomes.failures()],
        skipped=outcomes.skipped(),
    )


def _record_failures(
    result: Rehearsal, folder: StudyFolder, untracked: str, write_report: WriteReport | None
) -> list[Failure]:
    """Return why MLflow lacks a job and why the report cannot be written."""
    found = [Failure((), "tracking", f"MLflow: {untracked}")] if untracked else []
    if write_report is None or all(job.stage != DownstreamStage.name for job in result.jobs):
        return found
    try:
        write_report(folder)
    except Exception as error:  # whatever a table or figure raises would end the study's report, too
        found.append(Failure((), "report", f"{type(error).__name__}: {error}"))
    return found


@contextlib.contextmanager
def _removed_from_store(plan: RehearsalPlan, folder: StudyFolder) -> Iterator[None]:
    """Remove the rehearsal's files from the study's remote store afterwards, where it has one."""
    try:
        yield
    finally:
        if plan.spec.storage is not None:
            storage = Storage(plan.spec.storage)
            jobs = [plan.replicate(cell.key, 0, {}) for cell in plan.cells]
            made = {job.digest for replicate in jobs for job in (replicate, *plan.sources_of(replicate))}
            for key in (f"studies/{folder.name}", f"ray/{folder.name}", *(f"artifacts/{name}" for name in made)):
                storage.remove_folder(key)
