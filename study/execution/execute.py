"""Execution of one job: from its config to its artifact and outcome, in any process.

The process writes only into the job's folder and the artifact store. The ledger and MLflow belong to the driver.
"""

from __future__ import annotations

import errno
import json
import logging
import shutil
import socket
import time
import traceback
from dataclasses import asdict, replace
from pathlib import Path

from study.execution.device import release_memory
from study.execution.device_errors import first_line, gpu_failure, gpu_out_of_memory, out_of_memory
from study.execution.errors import GpuFailed, SharedGpuFull
from study.planning.jobs import Job, Outcome
from study.plugins.loading import load_installed
from study.rehearsal.job import rehearse_job
from study.stages import STAGES
from study.stages.configuration import REHEARSAL
from study.stages.stage import StageContext, StageResult
from study.storage.artifacts import ArtifactStore
from study.storage.workspace import JobFolder
from trainables.common.errors import TrainingFailed, UserError
from trainables.common.files import write_json, write_text
from trainables.common.learning import PretrainingFailed
from trainables.data.store.frames import FrameStore
from trainables.engine.checkpoint import Checkpoints
from trainables.engine.runtime import Runtime

log = logging.getLogger(__name__)

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
"""Error numbers of a full disk and of an exhausted quota."""


def execute(job: Job, folder: JobFolder, artifacts: ArtifactStore, runtime: Runtime) -> Outcome:
    """Run a job and return its outcome, which is on disk by then; a job that has an outcome is not run again.

    The memory of the job is released, so that the next job of the process finds all of it.

    A run that cannot succeed (it diverged, its input is invalid) and an internal error both end with a failed outcome
    and its reason. The job has no outcome, and is run again later, only if its process dies, the disk is full, the GPU
    fails, or the job runs out of memory on a GPU that it shares.

    Args:
        job: job to run.
        folder: folder for the job's outcome, metrics and checkpoints.
        artifacts: store of the job's inputs and of its artifact.
        runtime: device, workers, checkpoints and reporting.

    Raises:
        OSError: the disk is full.
        GpuFailed: an error of the GPU other than lack of memory, after which the process must end.
        SharedGpuFull: the job shares a GPU whose memory is full.
        RuntimeError: the job failed in one of several workers. The others wait in a collective call, so the whole
            group must be stopped.
    """
    try:
        return read_outcome(folder) or _execute(job, folder, artifacts, runtime)
    finally:
        release_memory(runtime.device)


def _execute(job: Job, folder: JobFolder, artifacts: ArtifactStore, runtime: Runtime) -> Outcome:
    started = time.monotonic()
    write_json(folder.config, job.plain())
    try:
        result = _run(job, folder, artifacts, runtime)
        runtime.flush()
        seconds = time.monotonic() - started
        outcome = Outcome("completed", result.metrics, result.epochs, seconds, learning=result.learning)
    except PretrainingFailed as error:
        outcome = replace(_failed(str(error), started), learning=error.learning)
    except (TrainingFailed, UserError) as error:
        _refuse_to_record(error, job)
        outcome = _failed(str(error), started)
    except Exception as error:
        if isinstance(error, OSError) and error.errno in DISK_FULL:
            raise
        _refuse_to_record(error, job)
        outcome = _failed(_out_of_memory(error) or _internal_error(error, folder), started)
    outcome = replace(outcome, host=socket.gethostname())
    if runtime.rank == 0 or outcome.status == "failed":
        write_json(folder.result, asdict(outcome))
    if outcome.status == "failed" and runtime.world_size > 1:
        raise RuntimeError(outcome.reason)
    if runtime.rank == 0:
        checkpoints(folder).clear()
    return outcome


def clear_stale_job(job: Job, folder: JobFolder) -> bool:
    """Remove the folder of a job that is about to run if what it holds is of no use; return True if it was.

    That is a run of another configuration, which the job's cell no longer uses, or the completed run of a shared job,
    whose artifact must be lost: the job would not run otherwise.
    """
    outcome = read_outcome(folder) if job.shared else None
    lost = outcome is not None and outcome.status == "completed"
    if lost or (folder.config.exists() and json.loads(folder.config.read_text())["digest"] != job.digest):
        shutil.rmtree(folder.root)
        return True
    return False


def read_outcome(folder: JobFolder) -> Outcome | None:
    """Return the outcome on disk, or None if the job has not ended."""
    if not folder.result.exists():
        return None
    return Outcome.from_plain(json.loads(folder.result.read_text()))


def checkpoints(folder: JobFolder) -> Checkpoints:
    """Return the checkpoints in the job's folder."""
    return Checkpoints(folder.root)


def _run(job: Job, folder: JobFolder, artifacts: ArtifactStore, runtime: Runtime) -> StageResult:
    """Run the job's stage and, on rank 0, store its artifact."""
    load_installed()
    store = FrameStore.open(Path(job.frames))
    if store.fingerprint != job.config["data"]:
        raise UserError(
            f"{job.frames}: the frames have changed since the job was planned (found fingerprint "
            f"{store.fingerprint[:12]}, expected {job.config['data'][:12]}). Fix: run the study under another --name"
        )
    if not store.verify(stamped=True):  # the launch has read all bytes
        log.info("%s: a frame store of an earlier version, without checksums; its frames are not verified", job.frames)
    stage, context = STAGES[job.stage], StageContext(store, artifacts, folder, runtime)
    result = rehearse_job(stage, job, context) if REHEARSAL in job.config else stage.run(job, context)
    made = result.artifact
    if made is not None and runtime.rank == 0:
        about = {"stage": job.stage, "config": job.config, "metrics": made.metrics, "job": job.id}
        if result.learning is not None:
            about["learning"] = asdict(result.learning)
        artifacts.put(job.digest, about, made.weights, made.arrays, made.tables)
    return result


def _failed(reason: str, started: float) -> Outcome:
    return Outcome("failed", {}, 0, time.monotonic() - started, reason)


def _refuse_to_record(error: Exception, job: Job) -> None:
    """Raise an error that ends the process where the job may succeed in another one."""
    failure = gpu_failure(error)
    if failure:
        raise GpuFailed(f"the GPU failed: {failure[:200]}") from error
    if 0 < job.resources.gpus < 1 and gpu_out_of_memory(error):
        raise SharedGpuFull(f"out of memory on a shared GPU: {first_line(error)[:200]}") from error


def _out_of_memory(error: Exception) -> str:
    """Return the reason of a failure for lack of memory, or "" for any other error."""
    if not out_of_memory(error):
        return ""
    return f"out of memory ({first_line(error)[:200]}). Fix: set fit.micro_batch, or a smaller batch, image or network"


def _internal_error(error: Exception, folder: JobFolder) -> str:
    """Write the traceback into the job's folder, and return the reason of the failure."""
    path = folder.root / "error.txt"
    write_text(path, traceback.format_exc())
    return f"{type(error).__name__}: {error} (see {path})"
