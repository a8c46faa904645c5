"""Occupancy: how many slots of a cluster a study keeps busy over time, by a simulation of its schedule."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from study.config.search import NoPruner, SearchSpec
from study.planning.jobs import Job, Outcome, ResourceRequest
from study.planning.plan import Plan
from study.scheduling.objectives import OBJECTIVE
from study.scheduling.scheduler import JobScheduler
from study.storage.events import E, Event

PARTS = 10
"""Parts of the study's time for which the busy slots are counted."""

MOST_JOBS = 1000
"""Largest number of jobs that is simulated."""

MOST_SLOTS = 64
"""Largest number of slots that is tried."""

WORTHWHILE = 0.95
"""Share of the time with half the slots that a larger cluster may need at most to be worth a line."""

UNLIMITED = ResourceRequest(cpus=1e9, gpus=1e9)


@dataclass(frozen=True)
class Occupancy:
    """Time of a study on a number of slots, each of which runs one job.

    Attributes:
        slots: number of slots.
        hours: hours from the first job to the end of the last one.
        busy: mean number of busy slots in each tenth of these hours.
    """

    slots: int
    hours: float
    busy: tuple[float, ...]

    @property
    def share(self) -> float:
        """Share of the slots' time that is busy, in [0, 1]."""
        return sum(self.busy) / len(self.busy) / self.slots


def occupancies(plan: Plan, hours: Mapping[str, float]) -> list[Occupancy]:
    """Return the occupancy of 1, 2, 4, ... slots, up to the last that shortens the study noticeably.

    Args:
        plan: plan of the study.
        hours: hours of one job, by kind.

    Returns:
        Nothing for a study of more than `MOST_JOBS` jobs, whose simulation would take long.
    """
    if sum(plan.planned().values()) > MOST_JOBS:
        return []
    found: list[Occupancy] = []
    unsearched = UnsearchedPlan(plan.study, plan.dataset, plan.cells)
    slots = 1
    while slots <= MOST_SLOTS:
        now = occupancy(unsearched, hours, slots)
        if found and now.hours > WORTHWHILE * found[-1].hours:
            break
        found.append(now)
        slots *= 2
    return found


def occupancy(plan: Plan, hours: Mapping[str, float], slots: int) -> Occupancy:
    """Simulate a study whose jobs all complete in the mean time of their kind.

    Args:
        plan: plan of the study, whose search is simulated as it is.
        hours: hours of one job, by kind.
        slots: number of jobs that run at the same time, at least 1.
    """
    spans = list(_simulate(plan, hours, slots))
    end = max((last for _, last in spans), default=0.0)
    width = end / PARTS or 1.0
    busy = [
        sum(max(0.0, min(last, (part + 1) * width) - max(first, part * width)) for first, last in spans) / width
        for part in range(PARTS)
    ]
    return Occupancy(slots, end, tuple(busy))


def _simulate(plan: Plan, hours: Mapping[str, float], slots: int) -> Iterator[tuple[float, float]]:
    """Yield start and end of every job, in hours."""
    artifacts: set[str] = set()
    scheduler = JobScheduler(plan, _NoLedger(), artifacts.__contains__)
    running: list[tuple[float, int, Job]] = []
    started, now = 0, 0.0
    while True:
        while len(running) < slots and (job := scheduler.next_job(UNLIMITED)) is not None:
            end = now + hours.get(job.kind, 0.0)
            heapq.heappush(running, (end, started, job))
            started += 1
            yield now, end
        if not running:
            return
        now, _, job = heapq.heappop(running)
        artifacts.add(job.digest)
        scheduler.finish(job.id, Outcome("completed", {OBJECTIVE: 0.0}, job.epochs, 0.0))


class _NoLedger:
    """Ledger that keeps nothing."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def append(self, event: E) -> E:
        return event


class UnsearchedPlan(Plan):
    """Plan whose configurations are drawn at random and never pruned, which takes no time.

    All numbers of slots draw the same configurations.
    """

    cached = MOST_JOBS

    def search(self, cell: str) -> SearchSpec:
        """Return the search of a cell without what takes time."""
        spec = super().search(cell)
        return replace(
            spec,
            sampler="random",
            parallel=spec.workers,
            prior=(),
            objectives=("val/dice",),
            pruner=NoPruner(),
            pretext_pruner=NoPruner(),
        )
