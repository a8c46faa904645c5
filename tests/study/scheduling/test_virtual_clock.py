"""The search of one cell on its virtual clock, with reports that arrive as the tests say."""

from collections.abc import Mapping

import optuna
import pytest
from fake_study import SPACE, FakePlan, MemoryLedger

from study.config.search import ASHA, Median, NoPruner, Pruner, SearchSpec
from study.planning.jobs import Job, Outcome, ResourceRequest
from study.scheduling.objectives import OBJECTIVE
from study.scheduling.pruning import build_pruner
from study.scheduling.samplers import build_distribution, build_sampler
from study.scheduling.scheduler import JobScheduler
from study.storage.events import SearchPlanned, TrialAsked
from trainables.common.seeds import derive

PLENTY = ResourceRequest(cpus=100)
PRUNERS = {"none": NoPruner(), "asha": ASHA(min_epochs=1, reduction=2), "median": Median(1, 2)}


def value(params: Mapping[str, float], epoch: int) -> float:
    """A learning curve whose order of configurations is clear from the first epoch on."""
    return epoch / 10 - abs(params["lr"] - 0.01)


class Cell:
    """One cell, whose trials report when the test says so."""

    def __init__(self, parallel: int, pruner: Pruner | None = None, trials: int = 6, epochs: int = 4) -> None:
        pruner = pruner if pruner is not None else NoPruner()
        self.spec = SearchSpec(SPACE, trials=trials, startup_trials=2, parallel=parallel, pruner=pruner)
        self.plan, self.ledger = FakePlan(("plain",), self.spec, epochs=epochs), MemoryLedger()
        self.scheduler = JobScheduler(self.plan, self.ledger, lambda digest: True)

    def start(self) -> list[int]:
        """Start all trials that wait; return their numbers."""
        jobs = iter(lambda: self.scheduler.next_job(PLENTY), None)
        return [job.index for job in jobs if job.kind == "trial"]

    def job(self, index: int) -> Job:
        return self.scheduler.running[f"plain-trial-{index}"]

    def report(self, index: int, *epochs: int, worse: float = 0.0) -> bool:
        job = self.job(index)
        values = {epoch: value(job.params, epoch) - worse for epoch in epochs}
        return [self.scheduler.report(job.id, epoch, {OBJECTIVE: each}) for epoch, each in values.items()][-1]

    def end(self, index: int, status: str = "completed", worse: float = 0.0) -> None:
        job = self.job(index)
        metrics = {OBJECTIVE: value(job.params, job.epochs) - worse} if status == "completed" else {}
        self.scheduler.finish(job.id, Outcome(status, metrics, job.epochs, 1.0))

    def status(self, index: int) -> str:
        return self.scheduler.outcomes[f"plain-trial-{index}"].outcome.status


def drained(cell: Cell) -> list[tuple[float, str, int]]:
    """Run each trial to its end as soon as it starts; return configuration, status and epochs of each."""
    waiting = cell.start()
    while waiting:
        index = waiting.pop(0)
        for epoch in range(1, cell.plan.epochs + 1):
            if cell.report(index, epoch):
                params = cell.job(index).params
                stopped = Outcome("stopped", {OBJECTIVE: value(params, epoch)}, epoch, 1.0)
                cell.scheduler.finish(cell.job(index).id, stopped)
                break
        else:
            cell.end(index)
        waiting += cell.start()
    ends = sorted((end for end in cell.scheduler.outcomes.values() if end.kind == "trial"), key=lambda end: end.index)
    return [(end.params["lr"], end.outcome.status, end.outcome.epochs) for end in ends]


@pytest.mark.parametrize("pruner", PRUNERS.values(), ids=PRUNERS)
def test_one_worker_is_optunas_own_loop(pruner):
    cell = Cell(1, pruner, trials=12)
    study = optuna.create_study(study_name="cell", direction="maximize", pruner=build_pruner(pruner))
    expected = []
    for number in range(12):
        study.sampler = build_sampler(cell.spec, derive(derive(0, "sampler"), "ask", number))
        trial = study.ask({path: build_distribution(choice) for path, choice in SPACE.items()})
        for epoch in range(1, 5):
            trial.report(value(trial.params, epoch), epoch)
            if trial.should_prune() and epoch < 4:
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                expected.append((trial.params["lr"], "stopped", epoch))
                break
        else:
            study.tell(trial, value(trial.params, 4))
            expected.append((trial.params["lr"], "completed", 4))
    assert drained(cell) == expected
    if not isinstance(pruner, NoPruner):
        assert {status for _, status, _ in expected} == {"completed", "stopped"}


def test_as_many_trials_start_as_the_clock_has_workers():
    cell = Cell(3)
    assert cell.start() == [0, 1, 2]


def test_without_pruning_a_trial_begins_when_the_one_that_many_before_it_has_ended():
    cell = Cell(3)
    cell.start()
    cell.end(2)
    cell.end(1)
    assert cell.start() == []
    cell.end(0)
    assert cell.start() == [3, 4, 5]


def test_a_rung_compares_reports_that_come_earlier_on_the_clock_only():
    cell = Cell(2, PRUNERS["asha"])
    cell.start()
    assert not cell.report(1, 1, worse=1.0)  # the first report of trial 0 is earlier, and has not arrived
    assert not cell.report(1, 2, worse=1.0)
    assert not cell.report(0, 1)
    assert cell.report(1, 3, worse=1.0)  # compared at its first epoch, at last
    assert max(cell.scheduler.state.cells["plain"].trials[1].reports) == 2


def test_a_trial_that_ended_before_it_could_be_compared_is_corrected():
    cell = Cell(2, PRUNERS["asha"])
    cell.start()
    cell.report(1, 1, 2, 3, 4, worse=1.0)
    cell.end(1, worse=1.0)
    assert cell.status(1) == "completed"
    cell.report(0, 1)
    cell.start()
    outcome = cell.scheduler.outcomes["plain-trial-1"].outcome
    assert (outcome.status, outcome.epochs, outcome.seconds) == ("stopped", 1, 1.0)
    assert [event.job for event in cell.scheduler.corrected] == ["plain-trial-1"]


def test_a_failed_trial_holds_its_worker_until_its_planned_end():
    """So the epoch at which it failed decides nothing."""
    cell = Cell(2, PRUNERS["asha"])
    cell.start()
    cell.end(0, "failed")
    assert cell.start() == []
    cell.report(1, 1, 2, 3, 4)
    cell.end(1)
    assert cell.start() == [2, 3]
    assert cell.status(0) == "failed"


def test_more_trials_join_where_the_search_has_ended():
    short, long = Cell(3, trials=4), Cell(3, trials=7)
    drained(short)
    again = JobScheduler(long.plan, short.ledger, lambda digest: True)
    jobs = [again.next_job(PLENTY) for _ in range(3)]
    assert [job.index for job in jobs if job is not None] == [4, 5, 6]
    planned = [event for event in short.ledger.events if isinstance(event, SearchPlanned)]
    assert [(event.trials, event.workers) for event in planned] == [(4, 3), (7, 3)]


def test_a_search_that_an_earlier_version_began_goes_on_one_by_one():
    cell = Cell(1, trials=4)
    cell.start()
    ledger = MemoryLedger([event for event in cell.ledger.events if isinstance(event, TrialAsked)])
    now = Cell(3, trials=4)
    again = JobScheduler(now.plan, ledger, lambda digest: True)
    assert [job.index for job in iter(lambda: again.next_job(PLENTY), None)] == [0]
