"""Driver of a rehearsal: one job at a time, so that each has the machine's memory and time for itself."""

from __future__ import annotations

from collections.abc import Callable

from study.execution.job_driver import JobDriver, StartedJob
from study.planning.jobs import Job, ResourceRequest


class RehearsalDriver(JobDriver):
    """Driver that starts a job when no other is left, and fails a job whose process dies after it has begun."""

    def next_job(self, free: Callable[[], ResourceRequest]) -> Job | None:
        """Return the next job once the one before has ended."""
        return super().next_job(free) if self._restarting or not self.started else None

    def _broken_cluster(self, started: StartedJob) -> bool:
        return super()._broken_cluster(started) and not self._folder.job(started.job.id).config.exists()
