"""Driver of a study's jobs: starts them, follows their reports and crashes, and records how they end.

The driver knows neither Ray nor Tune: adapters translate their calls into calls of it. The scheduler decides which job
runs next; the driver keeps the state of each started job until its outcome is in the ledger.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import Any

from study.execution.device import NO_GPU
from study.execution.device_errors import gpu_failure_in
from study.execution.errors import ClusterLost, FolderNotShared, SharedGpuFull, StorageFull
from study.execution.execute import clear_stale_job, read_outcome
from study.execution.restart_policy import MemoryKill, RestartPolicy
from study.planning.jobs import Job, Outcome, ResourceRequest
from study.progress import Progress
from study.scheduling.scheduler import JobScheduler
from study.storage.artifacts import ArtifactStore
from study.storage.events import PretrainingReused
from study.storage.remote import JobPaths, Storage, fetch_job, job_key
from study.storage.workspace import StudyFolder
from study.tracking.tracker import Tracker
from trainables.common.learning import Learning

NO_SPACE = os.strerror(errno.ENOSPC)

MIN_FREE_BYTES = 2**20
"""Free bytes below which a crash is attributed to a full disk."""


class JobState(Enum):
    """State of a started job."""

    RUNNING = auto()
    STOPPING = auto()
    """A pruner has decided to stop it; its process has not ended yet."""
    RESTARTING = auto()
    """Its process crashed; it waits for another process."""


@dataclass
class StartedJob:
    """Job that was started and has no outcome yet.

    Attributes:
        job: description of the job.
        state: current state.
        restarts: crashes so far, and the decision to restart.
    """

    job: Job
    state: JobState = JobState.RUNNING
    restarts: RestartPolicy = field(default_factory=RestartPolicy)


class JobDriver:
    """Driver of the jobs of one launch.

    Args:
        scheduler: scheduler that chooses jobs and records their outcomes.
        folder: folder of the study.
        artifacts: artifact store of the workspace.
        tracker: MLflow tracker, notified of every start and end.
        progress: progress display, notified of every start, report and end.
        storage: remote store through which jobs exchange files where nodes do not share the workspace; None otherwise.

    Attributes:
        scheduler: scheduler of the study.
        started: started jobs without outcome, by job id.
        stop_reason: error that ends the sweep; None while it can continue.
    """

    def __init__(
        self,
        scheduler: JobScheduler,
        folder: StudyFolder,
        artifacts: ArtifactStore,
        tracker: Tracker,
        progress: Progress,
        storage: Storage | None = None,
    ) -> None:
        self.scheduler, self.progress = scheduler, progress
        self.started: dict[str, StartedJob] = {}
        self.stop_reason: Exception | None = None
        self._folder, self._artifacts, self._tracker, self._storage = folder, artifacts, tracker, storage
        self._restarting: deque[str] = deque()
        self._actors: dict[str, str] = {}
        self._any_report = False
        self._inputs_seen: set[str] = set()

    def __getstate__(self) -> dict[str, Any]:
        """Return no state: Tune pickles its adapters for a restore that the ledger replaces."""
        return {}

    @property
    def paths(self) -> JobPaths:
        """Folders and store in which jobs find and leave files."""
        uri = self._storage.uri if self._storage is not None else None
        return JobPaths(self._folder.name, str(self._folder.root / "jobs"), str(self._artifacts.root), uri)

    @property
    def interrupted(self) -> bool:
        """True where jobs still run although Tune has returned."""
        return any(started.state is not JobState.RESTARTING for started in self.started.values())

    def next_job(self, free: Callable[[], ResourceRequest]) -> Job | None:
        """Return the next job to start; None where none fits or none is left.

        Args:
            free: function that returns the free CPUs and GPUs of the cluster.
        """
        if self._restarting:
            started = self.started[self._restarting.popleft()]
            started.state = JobState.RUNNING
            return started.job
        job = self.scheduler.next_job(free())
        self.announce_corrected()
        if job is not None:
            if clear_stale_job(job, self._folder.job(job.id)) and self._storage is not None:
                self._storage.remove_folder(job_key(self._folder.name, job))
            self.started[job.id] = StartedJob(job)
            self._record_sources(job)
            self._announce_reused(job)
            self._tracker.job_started(job)
            self.progress.job_started(job.id, job.label, job.epochs)
        return job

    def register_actor(self, actor: str, job_id: str) -> None:
        """Record which Ray actor runs a job."""
        self._actors[actor] = job_id

    def report(self, job_id: str, epoch: int, metrics: Mapping[str, float]) -> bool:
        """Record a running job's metrics; return True if the job should stop."""
        self._any_report = True
        self.progress.job_report(job_id, epoch, metrics)
        stop = self.scheduler.report(job_id, epoch, metrics)
        started = self.started.get(job_id)
        if started is not None:
            started.restarts.record_epoch(epoch)
            if stop:
                started.state = JobState.STOPPING
        return stop

    def crashed(self, job_id: str, cause: Exception | None) -> None:
        """Record that a job's process crashed; `ended` follows."""
        # Ray's own record of the cause may be lost too when the disk is full.
        if NO_SPACE in str(cause) or shutil.disk_usage(self._folder.root).free < MIN_FREE_BYTES:
            place = self._folder.job(job_id).root
            self.stop_reason = StorageFull(f"disk full at {place}. Fix: free space, then run the same command again.")
        self.stop_reason = FolderNotShared.parse(cause) or self.stop_reason
        kill = MemoryKill.parse(cause)
        # Processes of a worker group are not registered here: the job answers for them.
        own = kill is not None and self._actors.get(kill.largest or "", job_id) == job_id
        if job_id in self.started:
            started = self.started[job_id]
            found = kill.found if kill is not None and own else gpu_failure_in(cause)
            started.restarts.record_crash(out_of_memory=own, cause=found)
            if SharedGpuFull.__name__ in str(cause):
                self._enlarge(started)

    def ended(self, job_id: str, last: Mapping[str, Any] | None, *, error: bool) -> None:
        """Record how a job's process ended; a crashed job is restarted from its checkpoint or fails.

        Tune's own restarts are not used: Tune gives up at once on a process that dies between two trials.

        Args:
            job_id: job whose process ended; ignored if it has an outcome already.
            last: last metrics that Tune received; None without any.
            error: True if the process crashed.
        """
        started = self.started.get(job_id)
        if started is None or started.state is JobState.RESTARTING:
            return
        self._fetch(started.job)
        crashed = error and read_outcome(self._folder.job(job_id)) is None  # a group that has failed left an outcome
        if crashed and started.restarts.should_restart:
            self._restart(started)
            return
        outcome = self._outcome(started, last or {}, error=error)
        if crashed and self._broken_cluster(started) and not started.restarts.out_of_memory:
            self.stop_reason = ClusterLost(
                f"worker processes crash at start-up ({started.job.label}: {outcome.reason})"
            )
            return
        self._finish(started.job, outcome)

    def announce_corrected(self) -> None:
        """Send and print the outcomes that replaced recorded ones."""
        while self.scheduler.corrected:
            event = self.scheduler.corrected.pop(0)
            job = self.scheduler.job_of(event)
            if job is not None:
                self._tracker.job_corrected(job, event)
                reason = event.outcome.reason or f"stopped at epoch {event.outcome.epochs}"
                self.progress.message(f"stopped   {job.label}: had ended before it could be compared; {reason}")

    def processes_killed(self, error: Exception) -> None:
        """Fail or restart the jobs whose processes Ray killed for their memory; restart all others.

        Tune crashes when Ray kills an actor for running out of memory, so the sweep continues in a new session.
        """
        kill = MemoryKill.parse(error)
        killed = {self._actors.get(actor) for actor in kill.killed} if kill is not None else set()
        for started in list(self.started.values()):
            if started.job.id in killed:
                self.crashed(started.job.id, error)
                self.ended(started.job.id, None, error=True)
            elif started.state is not JobState.RESTARTING:
                self._restart(started)

    def _record_sources(self, job: Job) -> None:
        """Record the ends of shared jobs whose artifact a driver did not live to record."""
        for source in self.scheduler.plan.sources_of(job) if job.cell is not None else ():
            known = source.id in self.scheduler.outcomes or source.id in self.started
            if known or not self._artifacts.has(source.digest):
                continue
            outcome = read_outcome(self._folder.job(source.id))
            if outcome is not None and outcome.status == "completed":  # else it is another study's
                self.scheduler.running[source.id] = source
                self.scheduler.finish(source.id, outcome)
                self._tracker.job_finished(source, self.scheduler.outcomes[source.id])

    def _announce_reused(self, job: Job) -> None:
        """Record and print the verdict on each input of the job that is a pretraining of an earlier study."""
        for digest in set(job.inputs.values()) - self._inputs_seen:
            self._inputs_seen.add(digest)
            state = self.scheduler.state
            own = {end.digest for end in state.outcomes.values()}
            own |= {started.job.digest for started in self.started.values()}  # complete before its process has ended
            if digest in state.reused or digest in own:
                continue
            about = self._artifacts.about(digest) if self._artifacts.has(digest) else {}
            if about.get("learning") is not None:
                reused = PretrainingReused(about["job"], digest, Learning(**about["learning"]))
                self.scheduler.reuse(reused)
                self.progress.job_reused(reused.job, reused.learning.summary)

    def _broken_cluster(self, started: StartedJob) -> bool:
        """Return True if a crash is due to the cluster rather than to the job: no job has reported anything yet."""
        return not self._any_report and started.restarts.cause in ("", NO_GPU)

    def _enlarge(self, started: StartedJob) -> None:
        """Give the next process of a job, which ran out of memory on its share of a GPU, the whole GPU."""
        started.job = replace(started.job, resources=replace(started.job.resources, gpus=1))
        self.scheduler.running[started.job.id] = started.job  # counted with what its next process takes
        self.progress.message(f"{started.job.label}: out of memory on a shared GPU, runs again on one of its own")

    def _restart(self, started: StartedJob) -> None:
        started.state = JobState.RESTARTING
        self._restarting.append(started.job.id)

    def _finish(self, job: Job, outcome: Outcome) -> None:
        del self.started[job.id]
        self.scheduler.finish(job.id, outcome)
        self._tracker.job_finished(job, self.scheduler.outcomes[job.id])
        learned = outcome.learning.summary if outcome.learning is not None else None
        self.progress.job_finished(job.id, outcome.status, outcome.metrics, outcome.seconds, outcome.reason or learned)

    def _outcome(self, started: StartedJob, last: Mapping[str, Any], *, error: bool) -> Outcome:
        stored = read_outcome(self._folder.job(started.job.id))
        if stored is not None:
            return stored
        if started.state is JobState.STOPPING:
            metrics = {name: value for name, value in last.items() if name.startswith("val/")}
            return Outcome("stopped", metrics, int(last.get("epoch", 0)), float(last.get("time_total_s", 0.0)))
        reason = started.restarts.reason if error else "the process ended without an outcome"
        return Outcome("failed", {}, 0, 0.0, f"{reason}; see Ray's logs of this launch")

    def _fetch(self, job: Job) -> None:
        """Copy a job's files and artifact from the remote store into the workspace."""
        if self._storage is not None:
            fetch_job(self._storage, self._folder, job, self._artifacts)
