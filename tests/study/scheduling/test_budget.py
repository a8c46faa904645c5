"""The budget, by a clock that the test sets."""

from types import SimpleNamespace

import pytest
from fake_study import FakePlan, MemoryLedger

from study.planning.jobs import ResourceRequest
from study.scheduling.budget import FLUSH_INTERVAL, BudgetSpent, BudgetTracker
from study.scheduling.scheduler import JobScheduler
from study.storage.events import TimeSpent, events_of_type


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def scheduler_with(ledger: MemoryLedger, **limits: float) -> JobScheduler:
    budget = SimpleNamespace(**{"hours": None, "gpu_hours": None, **limits})
    plan = FakePlan(("a", "b"), request=ResourceRequest(workers=2, gpus=0.5), budget=budget)
    return JobScheduler(plan, ledger, lambda digest: True)


def start_two(scheduler: JobScheduler) -> None:
    for _ in range(2):
        assert scheduler.next_job(ResourceRequest(cpus=100, gpus=100)) is not None


@pytest.mark.parametrize(("name", "limit"), [("hours", 1), ("gpu_hours", 2)])
def test_time_is_counted_over_launches_and_ends_at_the_budget(name, limit):
    """Two jobs with a GPU each spend two GPU-hours in an hour."""
    ledger, clock = MemoryLedger(), Clock()
    first = scheduler_with(ledger, **{name: limit})
    tracker = BudgetTracker(first, clock)
    tracker.check()
    start_two(first)
    clock.now += 1800
    tracker.check()
    tracker.flush()
    second = scheduler_with(ledger, **{name: limit})
    start_two(second)
    tracker = BudgetTracker(second, clock)
    clock.now += 5000  # between two launches nothing is spent
    tracker.check()
    clock.now += 1799
    tracker.check()
    clock.now += 1
    with pytest.raises(BudgetSpent, match=rf"budget\.{name} \({limit}\) is spent"):
        tracker.check()
    third = scheduler_with(ledger, **{name: limit})
    assert (third.state.seconds, third.state.gpu_seconds) == (3600, 7200)
    with pytest.raises(BudgetSpent):
        BudgetTracker(third, clock).check()


def test_idle_time_costs_hours_but_no_gpu_hours():
    ledger, clock = MemoryLedger(), Clock()
    scheduler = scheduler_with(ledger)
    tracker = BudgetTracker(scheduler, clock)
    tracker.check()
    clock.now += 10
    tracker.check()
    tracker.flush()
    assert (scheduler.state.seconds, scheduler.state.gpu_seconds) == (10, 0)


def test_time_goes_into_the_ledger_at_intervals_and_not_at_each_check():
    ledger, clock = MemoryLedger(), Clock()
    tracker = BudgetTracker(scheduler_with(ledger), clock)
    tracker.check()
    for _ in range(12):
        clock.now += FLUSH_INTERVAL / 4
        tracker.check()
    assert [event.seconds for event in events_of_type(ledger.events, TimeSpent)] == [FLUSH_INTERVAL] * 3
    tracker.flush()
    assert len(list(events_of_type(ledger.events, TimeSpent))) == 3
