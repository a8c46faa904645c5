"""What a study has spent of its budget, over all its launches."""

from __future__ import annotations

from collections.abc import Callable

from study.scheduling.scheduler import JobScheduler

NOTED_EVERY = 60.0
"""Seconds after which what was spent goes into the ledger; a driver that is killed forgets less than that."""


class BudgetSpent(Exception):
    """The budget of hours or of GPU-hours is spent; the message says which."""


class BudgetTracker:
    """Counts the time that goes by and the GPUs of the jobs that run meanwhile.

    Args:
        agenda: knows what earlier launches spent, what runs, and the study's budget.
        clock: seconds of a clock that never jumps.
    """

    def __init__(self, scheduler: JobScheduler, clock: Callable[[], float]) -> None:
        self._scheduler, self._clock, self._budget = scheduler, clock, scheduler.plan.spec.budget
        self._counted_at: float | None = None
        self._seconds = self._gpu_seconds = 0.0

    def check(self) -> None:
        """Count up to now.

        Raises:
            BudgetSpent: nothing more may be spent.
        """
        now = self._clock()
        if self._counted_at is not None:
            passed = now - self._counted_at
            self._seconds += passed
            self._gpu_seconds += passed * sum(
                job.resources.workers * job.resources.gpus for job in self._scheduler.running.values()
            )
        self._counted_at = now
        if self._seconds >= NOTED_EVERY:
            self.flush()
        spent = {
            "hours": self._scheduler.seconds + self._seconds,
            "gpu_hours": self._scheduler.gpu_seconds + self._gpu_seconds,
        }
        for name, seconds in spent.items():
            limit = getattr(self._budget, name)
            if limit is not None and seconds >= limit * 3600:
                self.flush()
                raise BudgetSpent(f"budget.{name} ({limit:g}) is spent")

    def flush(self) -> None:
        """Put into the ledger what is not yet there."""
        if self._seconds:
            self._scheduler.spend(self._seconds, self._gpu_seconds)
            self._seconds = self._gpu_seconds = 0.0
