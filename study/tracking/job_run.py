"""State machine of one job's MLflow run; pure, so that every transition can be tested without a server."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from study.planning.jobs import Job
from study.storage.events import JobFinished
from study.tracking.record import RunRecord


class RunState(Enum):
    """State of a job's MLflow run.

    Attributes:
        SUPERSEDED: the known run belongs to an earlier configuration and has yet to be tagged as such.
        PENDING: the run has yet to be created, or reopened after an earlier launch.
        OPEN: the job runs; its metrics are sent as it writes them.
        CLOSING: the job has ended; its last metrics and summary have yet to be sent.
        CLOSED: everything has been sent and the run has its final status.
    """

    SUPERSEDED = "superseded"
    PENDING = "pending"
    OPEN = "open"
    CLOSING = "closing"
    CLOSED = "closed"


@dataclass
class JobRun:
    """A job and the state of its MLflow run.

    Transitions: SUPERSEDED -> PENDING -> OPEN -> CLOSING -> CLOSED, and back to CLOSING for a corrected end. A job that
    ends before its run is open goes from PENDING straight to CLOSING.

    Attributes:
        job: the job in its present configuration.
        state: state of its run.
        record: progress of its run; None before a run exists.
        ended: ledger event of its end; None while it runs.
    """

    job: Job
    state: RunState
    record: RunRecord | None = None
    ended: JobFinished | None = None

    @classmethod
    def resume(cls, job: Job, record: RunRecord | None) -> JobRun:
        """Return the run of a job at the state that its stored record says."""
        if record is not None and record.digest != job.digest:
            return cls(job, RunState.SUPERSEDED, record)
        closed = record is not None and record.closed
        return cls(job, RunState.CLOSED if closed else RunState.PENDING, record)

    @property
    def waiting(self) -> bool:
        """True if the job has ended and MLflow lacks a part of its record."""
        return self.ended is not None and self.state is not RunState.CLOSED

    @property
    def orphaned(self) -> bool:
        """True if the run is not closed and no end of its job is known."""
        return self.ended is None and self.record is not None and not self.record.closed

    def finish(self, ended: JobFinished) -> None:
        """Note the job's end."""
        self.ended = ended
        if self.state is RunState.OPEN:
            self.state = RunState.CLOSING

    def correct(self, ended: JobFinished) -> None:
        """Note an end that replaces another, which may have been sent already."""
        self.finish(ended)
        if self.state is RunState.CLOSED:
            self.state = RunState.CLOSING

    def drop_superseded(self) -> None:
        """Forget the run of the earlier configuration, once it has been tagged."""
        self._expect(RunState.SUPERSEDED)
        self.state, self.record = RunState.PENDING, None

    def open(self, run_id: str) -> None:
        """Note that the run exists and has the status RUNNING; a reopened run keeps its progress."""
        self._expect(RunState.PENDING)
        self.record = self.record or RunRecord(run_id, self.job.digest)
        self.state = RunState.OPEN if self.ended is None else RunState.CLOSING

    def advance(self, sent: int, epoch: int) -> None:
        """Note that the metrics file has been sent up to a byte and an epoch."""
        self._expect(RunState.OPEN, RunState.CLOSING)
        assert self.record is not None
        self.record = replace(self.record, sent=sent, epoch=epoch)

    def close(self) -> RunRecord:
        """Note that everything has been sent; return the record to store."""
        self._expect(RunState.CLOSING)
        assert self.record is not None
        self.state, self.record = RunState.CLOSED, replace(self.record, closed=True)
        return self.record

    def _expect(self, *states: RunState) -> None:
        if self.state not in states:
            expected = " or ".join(state.name for state in states)
            raise ValueError(f"MLflow run of {self.job.id}: found state {self.state.name}, expected {expected}")
