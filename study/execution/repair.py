"""Repair of a study whose disk lacks what its ledger says is done: jobs with lost or damaged files run again."""

from __future__ import annotations

import json
import shutil

from study.planning.jobs import Job
from study.scheduling.lost import lost_jobs
from study.scheduling.scheduler import JobScheduler
from study.storage.artifacts import ArtifactStore
from study.storage.job_files import read_predictions, read_test
from study.storage.remote import Storage, fetch_job, job_key
from study.storage.workspace import JobFolder, StudyFolder
from study.tracking.record import RecordFile
from trainables.common.errors import DataError


def missing_jobs(
    scheduler: JobScheduler, folder: StudyFolder, artifacts: ArtifactStore, *, read: bool = False
) -> list[Job]:
    """Return the finished jobs whose results or artifact the workspace lacks.

    Args:
        scheduler: scheduler of the study.
        folder: folder of the study.
        artifacts: artifact store of the workspace.
        read: also return jobs whose result files are damaged, which needs to read them all.
    """

    def has_results(job: Job) -> bool:
        own = folder.job(job.id)
        files = (own.config, own.result, own.test, own.predictions)
        if not (all(path.exists() for path in files) and artifacts.has(job.digest)):
            return False
        return not read or _readable(own)

    return lost_jobs(scheduler.plan, scheduler.state, has_results, artifacts.has)


def _readable(folder: JobFolder) -> bool:
    try:
        read_predictions(folder.predictions)
        read_test(folder.test)
        json.loads(folder.config.read_text())
        json.loads(folder.result.read_text())
    except (DataError, ValueError):
        return False
    return True


def repair(
    scheduler: JobScheduler, folder: StudyFolder, artifacts: ArtifactStore, storage: Storage | None
) -> list[Job]:
    """Let the jobs of a study whose files are lost or damaged run again; return them.

    What the remote store still has is fetched. What is left of a lost job is removed, so that it starts anew.

    Args:
        scheduler: scheduler of the study.
        folder: folder of the study.
        artifacts: artifact store of the workspace.
        storage: remote store of the study; None without one.
    """
    if storage is not None:
        for job in missing_jobs(scheduler, folder, artifacts, read=True):
            fetch_job(storage, folder, job, artifacts)
    lost = missing_jobs(scheduler, folder, artifacts, read=True)
    for job in lost:
        shutil.rmtree(folder.job(job.id).root, ignore_errors=True)
        if storage is not None:
            storage.remove_folder(job_key(folder.name, job))
        scheduler.reopen(job)
    RecordFile(folder).reopen((job.id for job in lost), anew=True)
    return lost
