"""Every decision is a function of the ledger: replayed from any prefix, a study continues in the one way.

Random interleavings of jobs that start, report, end and fail; the seeds make each of them repeatable.
"""

import random

import pytest
from fake_study import SPACE, FakePlan, MemoryLedger

from study.config.ranges import Choice, Int
from study.config.search import ASHA, Hyperband, Median, SearchSpec
from study.planning.jobs import Job, Outcome, ResourceRequest
from study.scheduling.objectives import OBJECTIVE, PROBE
from study.scheduling.scheduler import JobScheduler
from study.storage.events import Event, JobFinished, JobRetried

PLENTY = ResourceRequest(cpus=100)
CHOICES = {"norm": Choice(("batch", "group", "none")), "depth": Int(2, 3)}
PLANS = {
    "parallel-asha": FakePlan(
        ("plain", "other", "one-pretrained"),
        SearchSpec(SPACE, trials=9, startup_trials=3, parallel=4, pruner=ASHA(min_epochs=1, reduction=2)),
        epochs=5,
    ),
    "parallel-median": FakePlan(
        ("plain", "one-pretrained"),
        SearchSpec(
            SPACE,
            trials=7,
            startup_trials=2,
            parallel=3,
            pruner=Median(min_epochs=1, startup_trials=2),
            pretext_pruner=Median(min_epochs=0, startup_trials=1),
        ),
    ),
    "parallel-gp": FakePlan(("plain",), SearchSpec(SPACE, trials=6, startup_trials=2, parallel=3, sampler="gp")),
    "parallel-cmaes": FakePlan(("plain",), SearchSpec(SPACE, trials=9, startup_trials=2, parallel=4, sampler="cmaes")),
    "parallel-grid": FakePlan(
        ("plain",), SearchSpec(CHOICES, trials=6, parallel=3, sampler="grid", pruner=Hyperband(max_epochs=3))
    ),
    "parallel-nsga2": FakePlan(
        ("plain",),
        SearchSpec(SPACE, trials=9, startup_trials=2, parallel=4, sampler="nsga2", objectives=("val/dice", "seconds")),
    ),
    "asha": FakePlan(
        ("plain", "other", "one-pretrained"),
        SearchSpec(
            SPACE,
            trials=6,
            sampler="random",
            parallel=1,
            pruner=ASHA(min_epochs=1, reduction=2),
            pretext_pruner=Median(min_epochs=0, startup_trials=1),
        ),
        epochs=5,
    ),
    "tpe": FakePlan(
        ("plain", "one-pretrained"),
        SearchSpec(SPACE, trials=6, startup_trials=2, parallel=1, pruner=Median(min_epochs=1, startup_trials=2)),
    ),
    "nsga2": FakePlan(
        ("plain",),
        SearchSpec(SPACE, trials=6, startup_trials=2, parallel=1, sampler="nsga2", objectives=("val/dice", "seconds")),
    ),
}


def metrics(job: Job, epoch: int) -> dict[str, float]:
    """A learning curve that depends on nothing but the job's configuration."""
    noise = random.Random(f"{job.id} {sorted(job.params.items())} {epoch}").random()
    return {PROBE if job.kind == "pretext" else OBJECTIVE: epoch / 10 + 0.3 * noise}


class Driver:
    """Runs the jobs of a plan in a random interleaving."""

    def __init__(self, plan: FakePlan, events: list[Event], seed: int, failures: float = 0.0) -> None:
        self.plan, self.ledger, self.failures = plan, MemoryLedger(events), failures
        self.random = random.Random(seed)
        self.epochs: dict[str, int] = {}
        self.artifacts = {
            event.digest
            for event in events
            if isinstance(event, JobFinished) and event.kind == "pretext" and event.outcome.status == "completed"
        }
        self.scheduler = self.replayed()

    def replayed(self) -> JobScheduler:
        """Return a scheduler that knows only the events so far and the running jobs."""
        ledger = MemoryLedger(self.ledger.events) if hasattr(self, "scheduler") else self.ledger
        scheduler = JobScheduler(self.plan, ledger, self.artifacts.__contains__)
        scheduler.running |= getattr(self, "scheduler", scheduler).running
        return scheduler

    def step(self, check: bool) -> bool:
        """Start a job or let a running one report; False when nothing is left."""
        if self.random.random() < 0.3 or not self.epochs:
            again = self.replayed() if check else None
            job = self.scheduler.next_job(PLENTY)
            if again is not None:
                assert again.next_job(PLENTY) == job
                assert again.state == self.scheduler.state
            if job is not None:
                self.epochs[job.id] = 0
            return job is not None or bool(self.epochs)
        self._advance(self.scheduler.running[self.random.choice(sorted(self.epochs))])
        if check and self.random.random() < 0.3:
            assert self.replayed().state == self.scheduler.state
        return True

    def _advance(self, job: Job) -> None:
        epoch = self.epochs[job.id] = self.epochs[job.id] + 1
        values = metrics(job, epoch)
        if self.random.random() < self.failures:
            self._finish(job, Outcome("failed", {}, epoch, 1.0, "diverged"))
        elif self.scheduler.report(job.id, epoch, values):
            self._finish(job, Outcome("stopped", values, epoch, 1.0))
        elif epoch == job.epochs:
            if job.kind == "pretext":
                self.artifacts.add(job.digest)
            self._finish(job, Outcome("completed", values, epoch, 1.0))

    def _finish(self, job: Job, outcome: Outcome) -> None:
        del self.epochs[job.id]
        self.scheduler.finish(job.id, outcome)

    def drain(self, check: bool = False) -> None:
        while self.step(check):
            pass
        assert self.scheduler.done

    def results(self) -> dict[str, tuple[object, ...]]:
        """Return the study's results; a pretraining that was pruned may or may not have ended before a kill."""
        ends = self.scheduler.outcomes.values()
        return {
            end.job: (end.params, end.outcome.status, end.outcome.epochs, end.outcome.metrics)
            for end in ends
            if end.kind != "pretext"
        }


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
@pytest.mark.parametrize("seed", range(2))
def test_a_replay_at_any_moment_has_the_state_and_the_next_job_of_the_live_scheduler(plan, seed):
    driver = Driver(plan, [], seed, failures=0.03)
    driver.drain(check=True)
    chosen = {key for key, cell in driver.scheduler.state.cells.items() if cell.choice is not None}
    failed = [end for end in driver.scheduler.outcomes.values() if end.outcome.status == "failed"]
    again = [JobRetried.of(end) for end in failed if end.kind != "trial" or end.cell not in chosen]
    Driver(plan, [*driver.ledger.events, *again], seed).drain(check=True)


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
@pytest.mark.parametrize("seed", range(4))
def test_killed_after_any_event_a_study_computes_what_an_uninterrupted_one_does(plan, seed):
    uninterrupted = Driver(plan, [], seed)
    uninterrupted.drain()
    events, chance = uninterrupted.ledger.events, random.Random(seed)
    for cut in [0, 1, len(events), *chance.sample(range(len(events)), 8)]:
        resumed = Driver(plan, events[:cut], chance.randrange(1000))
        resumed.drain()
        assert resumed.results() == uninterrupted.results()


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_the_order_in_which_jobs_report_changes_nothing(plan):
    first, *others = (Driver(plan, [], seed) for seed in range(10))
    first.drain()
    for other in others:
        other.drain()
        assert other.results() == first.results()


def test_the_plans_prune_trials_and_pretrainings():
    for name in ("asha", "parallel-median"):
        driver = Driver(PLANS[name], [], 0)
        driver.drain()
        stopped = [end for end in driver.scheduler.outcomes.values() if end.outcome.status == "stopped"]
        assert {end.kind for end in stopped} == {"trial", "pretext"}
