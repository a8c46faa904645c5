"""The scheduler alone, on a plan of a few small jobs."""

import pytest
from fake_study import FakePlan, MemoryLedger

from study.config.search import SearchSpec
from study.planning.jobs import Job, Outcome, ResourceRequest
from study.scheduling.objectives import OBJECTIVE, PROBE
from study.scheduling.scheduler import JobScheduler
from study.storage.events import (
    CellReopened,
    ConfigurationChosen,
    EpochReported,
    JobFinished,
    JobRetried,
    ProbeReported,
    TrialAsked,
)

PLENTY = ResourceRequest(cpus=100)


def scheduler_of(plan: FakePlan, ledger: MemoryLedger, *artifacts: str) -> JobScheduler:
    return JobScheduler(plan, ledger, set(artifacts).__contains__)


def finish(scheduler: JobScheduler, job: Job, value: float = 0.5) -> None:
    scheduler.finish(job.id, Outcome("completed", {OBJECTIVE: value}, job.epochs, 1.0))


def started(scheduler: JobScheduler) -> list[str]:
    """Start everything that can start now."""
    return [job.id for job in iter(lambda: scheduler.next_job(PLENTY), None)]


def test_a_cell_searches_then_chooses_then_replicates():
    ledger = MemoryLedger()
    scheduler = scheduler_of(FakePlan(), ledger)
    for index, value in enumerate((0.1, 0.9, 0.5)):
        (name,) = started(scheduler)
        assert name == f"plain-trial-{index}"
        finish(scheduler, scheduler.running[name], value)
    best = scheduler.state.cells["plain"].trials[1].params
    assert started(scheduler) == ["plain-replicate-0", "plain-replicate-1"]
    assert all(job.params == best for job in scheduler.running.values())
    assert ledger.events[-1] == ConfigurationChosen("plain", 1, best, time=ledger.events[-1].time)
    for job in list(scheduler.running.values()):
        assert not scheduler.done
        finish(scheduler, job)
    assert scheduler.done


def test_without_a_search_the_replicates_run_with_the_settings_of_the_file():
    ledger = MemoryLedger()
    scheduler = scheduler_of(FakePlan(search_spec=SearchSpec({})), ledger)
    assert started(scheduler) == ["plain-replicate-0", "plain-replicate-1"]
    assert [type(event) for event in ledger.events] == [ConfigurationChosen]
    assert scheduler.state.cells["plain"].choice.index is None


def test_a_cell_in_which_no_trial_completes_chooses_nothing():
    scheduler = scheduler_of(FakePlan(), MemoryLedger())
    while (job := scheduler.next_job(PLENTY)) is not None:
        scheduler.finish(job.id, Outcome("failed", {}, 0, 1.0, "diverged"))
    assert scheduler.done
    assert {end.kind for end in scheduler.outcomes.values()} == {"trial"}


def test_trials_go_before_replicates_and_shared_jobs_before_both():
    plan = FakePlan(("plain", "one-pretrained", "other-pretrained"), SearchSpec({}), replicates=1)
    ledger = MemoryLedger([ConfigurationChosen("one-pretrained", None, {})])
    scheduler = scheduler_of(plan, ledger)
    pretext = plan.pretext({})
    assert started(scheduler) == [pretext.id, "plain-replicate-0"]
    scheduler = scheduler_of(plan, MemoryLedger(), pretext.digest)
    assert started(scheduler) == ["plain-replicate-0", "one-pretrained-replicate-0", "other-pretrained-replicate-0"]


def test_a_job_that_does_not_fit_waits():
    scheduler = scheduler_of(FakePlan(request=ResourceRequest(workers=2, cpus=2)), MemoryLedger())
    assert scheduler.next_job(ResourceRequest(cpus=3)) is None
    assert not scheduler.done
    assert scheduler.next_job(ResourceRequest(cpus=4)) is not None


def test_reports_of_other_jobs_metrics_and_epochs_are_ignored():
    ledger = MemoryLedger()
    scheduler = scheduler_of(FakePlan(), ledger)
    job = scheduler.next_job(PLENTY)
    before = len(ledger.events)
    assert not scheduler.report("unknown", 1, {OBJECTIVE: 0.5})
    assert not scheduler.report(job.id, 1, {"loss": 0.5})
    assert len(ledger.events) == before
    scheduler.report(job.id, 2, {OBJECTIVE: 0.5})
    scheduler.report(job.id, 1, {OBJECTIVE: 0.9})
    assert [event for event in ledger.events if isinstance(event, EpochReported)] == [
        EpochReported(job.id, "plain", 0, 2, 0.5, time=float(before))
    ]


def test_the_probe_of_a_pretraining_is_recorded_for_every_trial_that_waits_for_it():
    plan, ledger = FakePlan(("one-pretrained", "other-pretrained")), MemoryLedger()
    scheduler = scheduler_of(plan, ledger)
    pretext = scheduler.next_job(PLENTY)
    assert pretext.kind == "pretext"
    assert not scheduler.report(pretext.id, 1, {PROBE: 0.5})
    recorded = [event for event in ledger.events if isinstance(event, ProbeReported)]
    assert [(event.cell, event.index, event.epoch) for event in recorded] == [
        ("one-pretrained", 0, 1), ("other-pretrained", 0, 1)
    ]  # fmt: skip


def test_a_failed_input_fails_the_jobs_that_read_it_until_it_is_retried():
    plan, ledger = FakePlan(("one-pretrained",), SearchSpec({})), MemoryLedger()
    scheduler = scheduler_of(plan, ledger)
    pretext = scheduler.next_job(PLENTY)
    scheduler.finish(pretext.id, Outcome("failed", {}, 0, 1.0, "diverged"))
    assert scheduler.done
    failed = [end for end in scheduler.outcomes.values() if end.kind == "replicate"]
    assert [end.outcome.reason for end in failed] == [f"dependency failed: {pretext.id}"] * 2
    retries = [JobRetried.of(end) for end in (scheduler.outcomes[pretext.id], *failed)]
    again = scheduler_of(plan, MemoryLedger([*ledger.events, *retries]))
    assert started(again) == [pretext.id]


def test_a_retried_trial_starts_without_the_reports_of_another_one():
    """Two failed trials are retried; the second may not inherit the pruning or the epochs of the first."""
    events = [
        TrialAsked("plain", 0, {"lr": 0.01}, {}),
        JobFinished("plain-trial-0", "trial", "plain", 0, {"lr": 0.01}, "d", Outcome("failed", {}, 0, 1.0, "died")),
        TrialAsked("plain", 1, {"lr": 0.02}, {}),
        JobFinished("plain-trial-1", "trial", "plain", 1, {"lr": 0.02}, "d", Outcome("failed", {}, 0, 1.0, "died")),
    ]
    events += [JobRetried.of(event) for event in events if isinstance(event, JobFinished)]
    ledger = MemoryLedger(events)
    scheduler = scheduler_of(FakePlan(), ledger)
    first = scheduler.next_job(PLENTY)
    scheduler.report(first.id, 3, {OBJECTIVE: 0.5})
    finish(scheduler, first)
    second = scheduler.next_job(PLENTY)
    assert (second.id, second.params) == ("plain-trial-1", {"lr": 0.02})
    scheduler.report(second.id, 1, {OBJECTIVE: 0.4})
    assert scheduler.state.cells["plain"].trials[1].reports == {1: 0.4}


@pytest.mark.parametrize(("trials", "reopened"), [(1, False), (2, True)])
def test_more_trials_than_were_run_reopen_a_cell(trials, reopened):
    ledger = MemoryLedger()
    few = FakePlan(search_spec=SearchSpec(FakePlan().search_spec.space, trials=1, sampler="random"))
    scheduler = scheduler_of(few, ledger)
    finish(scheduler, scheduler.next_job(PLENTY))
    started(scheduler)
    more = FakePlan(search_spec=SearchSpec(few.search_spec.space, trials=trials, sampler="random"))
    again = scheduler_of(more, ledger)
    assert isinstance(ledger.events[-1], CellReopened) == reopened
    assert (again.next_job(PLENTY).kind == "trial") == reopened


def test_the_job_of_an_outcome_is_rebuilt_from_the_plan():
    plan, scheduler = FakePlan(("one-pretrained",)), scheduler_of(FakePlan(("one-pretrained",)), MemoryLedger())
    for job in (plan.trial("one-pretrained", 1, {"lr": 0.1}), plan.replicate("one-pretrained", 0, {"lr": 0.1})):
        outcome = Outcome("completed", {}, 1, 1.0)
        assert scheduler.job_of(JobFinished(job.id, job.kind, job.cell, job.index, job.params, "d", outcome)) == job
    shared = plan.pretext({})
    assert scheduler.job_of(JobFinished(shared.id, "pretext", None, 0, {}, "d", Outcome("failed", {}, 0, 1.0))) is None
