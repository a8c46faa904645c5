"""Repair of a study whose disk lacks what its ledger says is done: the lost jobs run again."""

from __future__ import annotations

import shutil

from study.planning.jobs import Job
from study.scheduling.lost import lost_jobs
from study.scheduling.scheduler import JobScheduler
from study.storage.artifacts import ArtifactStore
from study.storage.remote import Storage, fetch_job, job_key
from study.storage.workspace import StudyFolder
from study.tracking.record import RecordFile


def missing_jobs(scheduler: JobScheduler, folder: StudyFolder, artifacts: ArtifactStore) -> list[Job]:
    """Return the finished jobs whose results or artifact the workspace lacks."""

    def has_results(job: Job) -> bool:
        own = folder.job(job.id)
        files = (own.config, own.result, own.test, own.predictions)
        return all(path.exists() for path in files) and artifacts.has(job.digest)

    return lost_jobs(scheduler.plan, scheduler.state, has_results, artifacts.has)


def repair(
    scheduler: JobScheduler, folder: StudyFolder, artifacts: ArtifactStore, storage: Storage | None
) -> list[Job]:
    """Let the lost jobs of a study run again; return them.

    What the remote store still has is fetched. What is left of a lost job is removed, so that it starts anew.

    Args:
        scheduler: scheduler of the study.
        folder: folder of the study.
        artifacts: artifact store of the workspace.
        storage: remote store of the study; None without one.
    """
    if storage is not None:
        for job in missing_jobs(scheduler, folder, artifacts):
            fetch_job(storage, folder, job, artifacts)
    lost = missing_jobs(scheduler, folder, artifacts)
    for job in lost:
        shutil.rmtree(folder.job(job.id).root, ignore_errors=True)
        if storage is not None:
            storage.remove_folder(job_key(folder.name, job))
        scheduler.reopen(job)
    RecordFile(folder).reopen((job.id for job in lost), anew=True)
    return lost
