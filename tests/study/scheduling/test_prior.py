"""Searches that begin with the trials of earlier studies."""

import pytest

from study.config.definition import load_study
from study.planning.jobs import Outcome, ResourceRequest
from study.planning.plan import Plan
from study.scheduling import prior
from study.scheduling.objectives import OBJECTIVE
from study.scheduling.prior import PriorTrials
from study.scheduling.scheduler import JobScheduler
from study.storage.events import PriorRead
from study.storage.ledger import Ledger, read_ledger
from study.storage.workspace import Workspace
from tests.study.scheduling.test_scheduler import TINY, Bench
from trainables.common.errors import UserError

RATE = "downstream.fit.optimizer.lr"
ONE = ("factors.pretext.method=[random]", "factors.downstream.label_fraction=[1.0]", "search.pruner=none")


@pytest.fixture
def workspace(tmp_path):
    """A workspace with a study `early` of five completed trials."""
    place = Workspace(tmp_path / "runs")
    folder = place.study("early")
    folder.root.mkdir(parents=True)
    folder.plan.write_text("{}")
    Bench(folder.root, *ONE, "search.trials=5", "seed=3").drain()
    return place


def plan_of(*sets):
    return Plan(load_study(str(TINY), sets=[*ONE, *sets], name="late"))


def scheduler_of(plan, ledger, workspace):
    return JobScheduler(plan, ledger, lambda digest: True, PriorTrials(plan, workspace).observations)


def test_the_search_begins_with_the_best_of_the_earlier_trials_and_learns_from_all(workspace, tmp_path):
    plan = plan_of("search.prior=[early]", "search.trials=3", "search.parallel=1")
    (cell,) = plan.cells
    known = PriorTrials(plan, workspace).observations(cell.key)
    assert len(known) == 5
    ledger = Ledger(tmp_path / "ledger.jsonl", lambda: 0.0)
    scheduler = scheduler_of(plan, ledger, workspace)
    first = scheduler.next_job(ResourceRequest(cpus=9))
    assert first.params == max(known, key=lambda each: each.values[0]).params
    study = scheduler._cells[cell.key]._known()[0]._study
    assert [trial.values for trial in study.trials if trial.values] == [each.values for each in known]
    (read,) = [event for event in ledger.events if isinstance(event, PriorRead)]
    assert [dict(params) for params in read.params] == [each.params for each in known]


def test_no_earlier_trial_comes_again_but_the_best(workspace, tmp_path):
    plan = plan_of("search.prior=[early]", "search.trials=9", "search.startup_trials=20", "seed=3")
    known = PriorTrials(plan, workspace).observations(plan.cells[0].key)
    scheduler = scheduler_of(plan, Ledger(tmp_path / "ledger.jsonl", lambda: 0.0), workspace)
    jobs = [scheduler.next_job(ResourceRequest(cpus=99)) for _ in range(9)]
    assert sum(job.params in [each.params for each in known] for job in jobs) == 1


def test_it_goes_on_without_the_earlier_study(workspace, tmp_path):
    plan = plan_of("search.prior=[early]", "search.trials=4", "search.parallel=1")
    ledger = Ledger(tmp_path / "ledger.jsonl", lambda: 0.0)

    def proposals(scheduler, count):
        found = []
        for _ in range(count):
            job = scheduler.next_job(ResourceRequest(cpus=9))
            found.append(job.params)
            scheduler.finish(job.id, Outcome("completed", {OBJECTIVE: 0.5}, 4, 1.0))
        return found

    whole = proposals(scheduler_of(plan, Ledger(tmp_path / "other.jsonl", lambda: 0.0), workspace), 4)
    early = proposals(scheduler_of(plan, ledger, workspace), 2)
    workspace.study("early").plan.unlink()
    assert early + proposals(scheduler_of(plan, ledger, workspace), 2) == whole


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        (["search.prior=[none]"], r"search.prior: .*no study 'none' .found early"),
        (["search.prior=[late]"], "'late' is the study itself"),
        (
            ["search.prior=[early]", "search.space={downstream.fit.clip_norm: {uniform: [0.1, 2.0]}}"],
            r"no trial of 'early' lies in the search space .*found downstream.fit.optimizer.lr; expected values of "
            "downstream.fit.optimizer.lr, downstream.fit.clip_norm",
        ),
    ],
)
def test_a_study_without_a_trial_to_begin_with_is_refused(workspace, sets, message):
    plan = plan_of(*sets)
    with pytest.raises(UserError, match=message):
        PriorTrials(plan, workspace).observations(plan.cells[0].key)


def test_trials_outside_the_ranges_do_not_count(workspace):
    everything = PriorTrials(plan_of("search.prior=[early]"), workspace).observations(plan_of().cells[0].key)
    rates = sorted(each.params[RATE] for each in everything)
    narrow = plan_of("search.prior=[early]", f"search.space={{{RATE}: {{loguniform: [{rates[2]}, 1.0]}}}}")
    found = PriorTrials(narrow, workspace).observations(narrow.cells[0].key)
    assert sorted(each.params[RATE] for each in found) == rates[2:]


def test_the_ledger_of_an_earlier_study_is_read_once_for_all_cells(workspace, monkeypatch):
    read: list[str] = []
    monkeypatch.setattr(prior, "read_ledger", lambda path: read.append(path.parent.name) or read_ledger(path))
    plan = plan_of("search.prior=[early]", "factors.downstream.label_fraction=[0.5, 1.0]")
    trials = PriorTrials(plan, workspace)
    assert [len(trials.observations(cell.key)) for cell in plan.cells] == [5, 5]
    assert read == ["early"]


def test_fixed_points_cannot_begin_with_others():
    with pytest.raises(UserError, match="sampler 'quasirandom' has fixed points"):
        load_study(str(TINY), sets=["search.prior=[early]", "search.sampler=quasirandom"])
