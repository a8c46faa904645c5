"""The budget of a study: wall-clock hours and GPU-hours over all launches."""

from __future__ import annotations

from collections.abc import Callable

from study.scheduling.scheduler import JobScheduler

FLUSH_INTERVAL = 60.0
"""Seconds between two records of spent time; a driver that is killed loses at most that much of its count."""


class BudgetSpent(Exception):
    """The end of the budget of hours or of GPU-hours; the message names which."""


class BudgetTracker:
    """Counter of the time that passes and of the GPUs that running jobs hold meanwhile.

    Args:
        scheduler: Scheduler that knows the budget, the running jobs and the time spent by earlier launches.
        clock: Returns seconds of a monotonic clock.
    """

    def __init__(self, scheduler: JobScheduler, clock: Callable[[], float]) -> None:
        self._scheduler, self._clock = scheduler, clock
        self._checked_at: float | None = None
        self._seconds = self._gpu_seconds = 0.0

    def check(self) -> None:
        """Count the time since the last check.

        Raises:
            BudgetSpent: The budget of hours or GPU-hours is spent.
        """
        now = self._clock()
        if self._checked_at is not None:
            passed = now - self._checked_at
            running = [job.resources for job in self._scheduler.running.values()]
            self._seconds += passed
            self._gpu_seconds += passed * sum(resources.workers * resources.gpus for resources in running)
        self._checked_at = now
        if self._seconds >= FLUSH_INTERVAL:
            self.flush()
        budget, state = self._scheduler.plan.spec.budget, self._scheduler.state
        self._compare("hours", budget.hours, state.seconds + self._seconds)
        self._compare("gpu_hours", budget.gpu_hours, state.gpu_seconds + self._gpu_seconds)

    def flush(self) -> None:
        """Record the time that is counted but not yet in the ledger."""
        if self._seconds:
            self._scheduler.spend(self._seconds, self._gpu_seconds)
            self._seconds = self._gpu_seconds = 0.0

    def _compare(self, name: str, limit: float | None, seconds: float) -> None:
        if limit is not None and seconds >= limit * 3600:
            self.flush()
            raise BudgetSpent(f"budget.{name} ({limit:g}) is spent")
