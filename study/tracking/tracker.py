"""Recording of a running study in MLflow: one run for the study, and one below it for each job.

Jobs write their metrics into files in their folders. A background thread of the driver sends new lines to MLflow;
jobs never wait for it. An error is logged once, and the thread tries again at every poll. What a dead or slow server
has not received is sent by the next launch: `tracking.jsonl` holds the runs that are complete, and a line that is sent
twice is stored once.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import re
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from study.planning.jobs import Job
from study.storage.artifacts import ArtifactStore
from study.storage.events import JobFinished
from study.storage.workspace import StudyFolder, Workspace
from study.tracking.cell_means import cell_means
from study.tracking.job_run import JobRun, RunState
from study.tracking.job_upload import DrawJob, JobUpload
from study.tracking.local_store import move_files, store_holds
from study.tracking.metrics_file import MetricRow
from study.tracking.mlflow_runs import MlflowRuns, mlflow_client
from study.tracking.polling_thread import PollingThread
from study.tracking.record import RecordFile, RunRecord
from study.tracking.views import view_tags

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

log = logging.getLogger(__name__)

POLL = 1.0
"""Seconds between two polls of the running jobs' files."""


@dataclass(frozen=True)
class _Notice:
    """Message to the background thread: a job was started, or has ended if `ended` is set.

    Attributes:
        job: the job.
        ended: ledger event of its end; None for a start.
        corrected: True if the end replaces another.
    """

    job: Job
    ended: JobFinished | None = None
    corrected: bool = False


class Tracker:
    """Background recorder of a study's jobs in MLflow.

    The driver's thread only puts notices into a queue; the background thread alone holds the runs' states.

    Args:
        workspace: the workspace; its SQLite store is used if `uri` is None.
        folder: the study's folder.
        uri: address of a tracking server or store, or None.
        title: the study's title, for a tag.
        draw: draws a finished job's picture; None draws none.
        new_client: makes MLflow's client from the address.
        poll: seconds between two polls.
    """

    def __init__(
        self,
        workspace: Workspace,
        folder: StudyFolder,
        uri: str | None,
        title: str,
        draw: DrawJob | None = None,
        new_client: Callable[[str], MlflowClient] = mlflow_client,
        poll: float = POLL,
    ) -> None:
        self.uri = uri or workspace.tracking_uri
        self._server = without_user(self.uri)
        move_files(self.uri, workspace.root / "mlflow")
        self._folder, self._file = folder, RecordFile(folder)
        self._commit = _commit_tag()
        self._tags = {"study": folder.name, "title": title, **self._commit}
        self._mlflow = MlflowRuns(self.uri, folder.name, workspace.root / "mlflow" / folder.name, new_client)
        self._upload = JobUpload(self._mlflow, folder, ArtifactStore(workspace.artifacts), self._commit, draw)
        self._notices: queue.SimpleQueue[_Notice] = queue.SimpleQueue()
        self._runs: dict[str, JobRun] = {}
        self._earlier: dict[str, RunRecord] = {}
        self._thread = PollingThread(self.sync, poll, "mlflow")
        self._problem = ""

    def start(self) -> None:
        """Create the store's schema and the experiment before any job runs, then start the background thread.

        A server that does not answer is logged as a warning; the thread connects later.
        """
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "5")
        with self.log_and_continue():
            self._connect()
        self._thread.start()

    def job_started(self, job: Job) -> None:
        """Open the job's run in the background, or reopen that of an earlier launch."""
        self._notices.put(_Notice(job))

    def job_finished(self, job: Job, ended: JobFinished) -> None:
        """Send the rest of the job's record and close its run in the background.

        Args:
            job: the job.
            ended: the ledger's event of its end.
        """
        self._notices.put(_Notice(job, ended))

    def job_corrected(self, job: Job, ended: JobFinished) -> None:
        """Send an end that replaces the recorded one of a job.

        Args:
            job: the job.
            ended: the ledger's event of the new end.
        """
        self._notices.put(_Notice(job, ended, corrected=True))

    def close(self, status: str, ended: Iterable[JobFinished] = (), timeout: float = 60.0) -> None:
        """Send what is left, log the means of the cells, and set the final status of the study's run.

        Args:
            status: FINISHED, or KILLED if something planned has not been run.
            ended: ledger events of all jobs' ends.
            timeout: seconds after which to return with a warning; the next launch sends the rest.
        """
        means = cell_means(ended)
        in_time = self._thread.stop(lambda: self._end_study(status, means), timeout)
        if not in_time or not self._notices.empty() or any(run.waiting for run in self._runs.values()):
            log.warning(
                "MLflow at %s: not everything was sent. Fix: run the same command again when it answers", self.uri
            )

    def behind(self, ended: Mapping[str, JobFinished]) -> bool:
        """Return true if the store or server lacks a complete record of one of these ended jobs.

        `tracking.jsonl` tells, and for a store in a file whether it still has the study's run; a server is not asked.

        Args:
            ended: ledger events of the jobs' ends, by job id.
        """
        records = {job: record for job, record in self._file.read().items() if record.server == self._server}
        held = {run for run in {record.study_run for record in records.values()} if store_holds(self.uri, run)}
        closed = {(job, record.digest) for job, record in records.items() if record.closed and record.study_run in held}
        return not {(job, event.digest) for job, event in ended.items()} <= closed

    def untracked(self, ended: Mapping[str, JobFinished]) -> str:
        """Return MLflow's first error if it lacks a part of the record of these ended jobs; "" if it was only slow."""
        return self._problem if self.behind(ended) else ""

    def sync(self) -> None:
        """Bring every run up to date with its job; the background thread calls this at every poll."""
        with self.log_and_continue():
            self._connect()
        if not self._mlflow.connected:
            return
        self._read_notices()
        for run in self._runs.values():
            with self.log_and_continue():
                self._update(run)

    @contextlib.contextmanager
    def log_and_continue(self) -> Iterator[None]:
        """Log the first error of MLflow and suppress all of them, as each call is tried again later."""
        try:
            yield
        except Exception as error:
            if not self._problem:
                self._problem = str(error) or type(error).__name__
                log.warning("MLflow at %s: %s; training continues, records are sent when it answers", self.uri, error)

    def _read_notices(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                notice = self._notices.get_nowait()
                run = self._runs.get(notice.job.id)
                if run is None or run.job.digest != notice.job.digest:
                    record = run.record if run is not None else self._earlier.pop(notice.job.id, None)
                    run = self._runs[notice.job.id] = JobRun.resume(notice.job, record)
                if notice.ended is not None:
                    (run.correct if notice.corrected else run.finish)(notice.ended)

    def _connect(self) -> None:
        if not self._mlflow.connected:
            self._mlflow.connect(view_tags(self._folder), self._tags)
            records = self._file.read().items()
            self._earlier = {job: record for job, record in records if record.study_run == self._mlflow.study_run}

    def _update(self, run: JobRun) -> None:
        """Take a run through all transitions that are due; an error leaves it at the last state reached."""
        if run.state is RunState.SUPERSEDED and run.record is not None:
            self._mlflow.set_tag(run.record.run_id, "superseded", "true")
            run.drop_superseded()
        if run.state is RunState.PENDING:
            if run.record is not None:
                self._mlflow.reopen(run.record.run_id)
                run.open(run.record.run_id)
            else:
                run.open(self._upload.open(run.job, self._run_ids()))
        if run.state in (RunState.OPEN, RunState.CLOSING) and run.record is not None:
            new = self._upload.send_metrics(run.job, run.record)
            run.advance(new.position, new.epoch)
        if run.state is RunState.CLOSING and run.record is not None and run.ended is not None:
            self._upload.close(run.job, run.record, run.ended)
            self._append(run.job.id, run.close())

    def _run_ids(self) -> dict[str, str]:
        """Return the id of each known run by the digest of its job's configuration."""
        records = [*self._earlier.values(), *(run.record for run in self._runs.values() if run.record is not None)]
        return {record.digest: record.run_id for record in records}

    def _append(self, job_id: str, record: RunRecord) -> None:
        self._file.append(job_id, record.at(self._server, self._mlflow.study_run))

    def _end_study(self, status: str, means: Mapping[str, float]) -> None:
        with self.log_and_continue():
            self._connect()
            for job_id, record in self._orphans().items():
                self._mlflow.end(record.run_id, "KILLED")
                self._append(job_id, record)
            now = int(time.time() * 1000)
            self._mlflow.end_study(status, [MetricRow(name, value, now, 0) for name, value in means.items()])

    def _orphans(self) -> dict[str, RunRecord]:
        """Return the open runs whose jobs' ends are unknown: the study was interrupted while they ran."""
        earlier = {job_id: record for job_id, record in self._earlier.items() if not record.closed}
        runs = {job_id: run.record for job_id, run in self._runs.items() if run.orphaned and run.record is not None}
        return {**earlier, **runs}


def without_user(uri: str) -> str:
    """Return the address of a store or server without the user and password that it may hold.

    Example:
        >>> without_user("https://me:secret@host:5000/path")
        'https://host:5000/path'
    """
    return re.sub(r"^(\w+://)[^/@]*@", r"\1", uri)


def _commit_tag() -> dict[str, str]:
    """Return MLflow's tag of the commit checked out in the current folder; nothing outside a repository."""
    try:
        found = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return {}
    return {"mlflow.source.git.commit": found.stdout.strip()}
