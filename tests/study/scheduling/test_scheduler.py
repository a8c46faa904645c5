"""The scheduler on a real study file, with jobs that end at once."""

import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from study.config.definition import Study, load_study
from study.config.problems import SpecError
from study.planning.jobs import Job, Outcome, ResourceRequest
from study.planning.plan import Plan
from study.scheduling.objectives import OBJECTIVE, PROBE
from study.scheduling.scheduler import JobScheduler
from study.scheduling.state import StudyState
from study.storage.ledger import Ledger

TINY = Path(__file__).parents[1] / "tiny.yaml"
PLENTY = ResourceRequest(cpus=100, gpus=100)


def quality(job: Job, epoch: int) -> float:
    """A made-up learning curve that depends on the job's configuration alone."""
    rate = job.params.get("downstream.fit.optimizer.lr", 1e-3)
    return 1 / (1 + abs(rate - 3e-3) * 300) * (1 - 0.5**epoch)


class Bench:
    """A scheduler with its ledger in a folder, and a set of artifacts that 'exist'."""

    def __init__(self, folder: Path, *sets: str) -> None:
        self.study: Study = load_study(str(TINY), sets=sets)
        self.ledger = Ledger(folder / "ledger.jsonl", lambda: 0.0)
        self.artifacts: set[str] = set()
        self.ran: list[str] = []
        self.open()

    def open(self) -> None:
        self.scheduler = JobScheduler(Plan(self.study), self.ledger, self.artifacts.__contains__)

    def run(self, job: Job) -> None:
        self.ran.append(job.id)
        for epoch in range(1, job.epochs + 1):
            value = quality(job, epoch)
            if self.scheduler.report(job.id, epoch, {OBJECTIVE: value}):
                self.scheduler.finish(job.id, Outcome("stopped", {OBJECTIVE: value}, epoch, 1.0))
                return
        if job.kind == "pretext":
            self.artifacts.add(job.digest)
        self.scheduler.finish(job.id, Outcome("completed", {OBJECTIVE: quality(job, job.epochs)}, job.epochs, 1.0))

    def drain(self) -> None:
        while (job := self.scheduler.next_job(PLENTY)) is not None:
            self.run(job)


def outline(bench: Bench) -> list[tuple[object, ...]]:
    """The ended jobs with their configurations, in no order."""
    return sorted((e.job, e.outcome.status, str(e.params), e.outcome.epochs) for e in bench.scheduler.outcomes.values())


def test_it_runs_exactly_what_is_planned(tmp_path):
    bench = Bench(tmp_path)
    bench.drain()
    assert bench.scheduler.done
    kinds = [event.kind for event in bench.scheduler.outcomes.values()]
    assert {kind: kinds.count(kind) for kind in kinds} == bench.scheduler.plan.planned()
    assert len(bench.ran) == len(set(bench.ran)) == 21


def test_jobs_wait_for_their_pretraining_which_runs_once(tmp_path):
    bench = Bench(tmp_path)
    given: list[Job] = []
    while (job := bench.scheduler.next_job(PLENTY)) is not None:
        given.append(job)
    assert [job.kind for job in given].count("pretext") == 1
    assert {job.levels["method"] for job in given if job.kind == "trial"} == {"random"}
    pretext = next(job for job in given if job.kind == "pretext")
    bench.run(pretext)
    after = bench.scheduler.next_job(PLENTY)
    assert after is not None
    assert after.levels["method"] == "simclr"
    assert after.inputs == {"pretext": pretext.digest}


def test_a_cell_replicates_the_configuration_that_was_best_on_validation(tmp_path):
    bench = Bench(tmp_path)
    bench.drain()
    for cell in bench.scheduler.plan.cells:
        trials = [e for e in bench.scheduler.outcomes.values() if e.kind == "trial" and e.cell == cell.key]
        best = max((e for e in trials if e.outcome.status == "completed"), key=lambda e: e.outcome.metrics[OBJECTIVE])
        replicates = [e for e in bench.scheduler.outcomes.values() if e.kind == "replicate" and e.cell == cell.key]
        assert [e.params for e in replicates] == [best.params] * 2


def test_cells_try_the_same_random_configurations_and_share_seeds_and_subsets(tmp_path):
    bench = Bench(tmp_path)
    plan = bench.scheduler.plan
    seeds = {
        (job.index, job.config["seed"]) for c in plan.cells for job in [plan.replicate(c.key, i, {}) for i in (0, 1)]
    }
    assert len(seeds) == 2
    bench.drain()
    first = {str(e.params) for e in bench.scheduler.outcomes.values() if e.kind == "trial" and e.index == 0}
    assert len(first) == 1


def test_only_replicates_see_the_test_split(tmp_path):
    plan = Bench(tmp_path).scheduler.plan
    for cell in plan.cells:
        assert plan.trial(cell.key, 0, {}).config["test"] is False
        assert plan.replicate(cell.key, 0, {}).config["test"] is True


@pytest.mark.parametrize("seed", range(8))
def test_killed_at_any_point_it_ends_like_an_uninterrupted_one(tmp_path, seed):
    whole = Bench(tmp_path / "whole")
    whole.drain()
    chance = random.Random(seed)
    broken = Bench(tmp_path / "broken")
    for _ in range(200):
        job = broken.scheduler.next_job(PLENTY)
        if job is None:
            break
        if chance.random() < 0.3:  # the driver dies while the job runs, after some of its reports
            for epoch in range(1, chance.randint(1, job.epochs)):
                broken.scheduler.report(job.id, epoch, {OBJECTIVE: quality(job, epoch)})
            broken.ledger.close()
            broken.ledger = Ledger(tmp_path / "broken" / "ledger.jsonl", lambda: 0.0)
            broken.open()
        else:
            broken.run(job)
    assert broken.scheduler.done
    assert outline(broken) == outline(whole)


def test_a_failed_pretraining_fails_what_needs_it_and_nothing_else(tmp_path):
    bench, pretext = Bench(tmp_path), None
    while (job := bench.scheduler.next_job(PLENTY)) is not None:
        if job.kind == "pretext":
            pretext = job
            bench.scheduler.finish(job.id, Outcome("failed", {}, 0, 1.0, "it collapsed"))
        else:
            bench.run(job)
    assert bench.scheduler.done
    by_method = {"simclr": set(), "random": set()}
    for event in bench.scheduler.outcomes.values():
        if event.cell:
            by_method["simclr" if "simclr" in event.cell else "random"].add(event.outcome.status)
            if event.outcome.status == "failed":
                assert event.outcome.reason == f"dependency failed: {pretext.id}"
    assert by_method["simclr"] == {"failed"}
    assert "failed" not in by_method["random"]


def test_jobs_that_do_not_fit_are_not_started(tmp_path):
    bench = Bench(tmp_path, "resources.downstream.gpus=0.5", "resources.pretext.workers=4")
    job = bench.scheduler.next_job(ResourceRequest(cpus=2, gpus=1))
    assert job is not None
    assert job.kind == "trial"
    assert bench.scheduler.next_job(ResourceRequest(cpus=1, gpus=0.4)) is None


def test_needs_add_up_over_workers():
    free = ResourceRequest(cpus=4, gpus=1)
    assert ResourceRequest(workers=2, cpus=2, gpus=0.5).fits(free)
    assert not ResourceRequest(workers=2, cpus=2, gpus=0.6).fits(free)
    assert not ResourceRequest(workers=3, cpus=2).fits(free)


SEARCHED_PRETEXT = (
    "pretext.probe={}",
    "search.space={pretext.fit.optimizer.lr: {loguniform: [1e-4, 1e-1]}}",
    "search.pretext_pruner={name: median, min_epochs: 0, startup_trials: 2}",
    "search.pruner=none",
    "pretext.fit.epochs=6",
    "search.trials=8",
)


class ProbedBench(Bench):
    """Pretrainings report their probe, which is the worse the higher their learning rate."""

    def run(self, job: Job) -> None:
        if job.kind == "pretext":
            self.ran.append(job.id)
            rate = job.config["pretext"]["fit"]["optimizer"]["lr"]
            for epoch in range(1, job.epochs + 1):
                if self.scheduler.report(job.id, epoch, {PROBE: epoch / 10 - rate}):
                    self.scheduler.finish(job.id, Outcome("stopped", {}, epoch, 1.0))
                    return
            self.artifacts.add(job.digest)
            self.scheduler.finish(job.id, Outcome("completed", {}, job.epochs, 1.0))
        else:
            super().run(job)


def test_a_pretraining_whose_probe_falls_behind_is_stopped_with_the_trial_that_wanted_it(tmp_path):
    one_by_one = ("search.parallel=1", "factors.downstream.label_fraction=[1.0]")
    bench = ProbedBench(tmp_path, *SEARCHED_PRETEXT, *one_by_one)
    bench.drain()
    assert bench.scheduler.done
    events = bench.scheduler.outcomes.values()
    trials = [e for e in events if e.kind == "trial" and "simclr" in e.cell]
    rates = [e.params["pretext.fit.optimizer.lr"] for e in trials]
    stopped = [e.outcome.status == "stopped" for e in trials]
    went_on: list[float] = []
    for rate, stop in zip(rates, stopped, strict=True):
        assert stop == (len(went_on) >= 2 and rate > np.median(went_on))
        went_on += [] if stop else [rate]
    assert any(stopped)
    assert not stopped[int(np.argmin(rates))]
    for event in trials:
        if event.outcome.status == "stopped":
            assert event.outcome.reason.startswith("its pretraining was pruned at epoch")
            assert OBJECTIVE not in event.outcome.metrics
    pretexts = [e for e in events if e.kind == "pretext"]
    assert sum(e.outcome.status == "stopped" for e in pretexts) == sum(stopped)
    replicates = [e for e in events if e.kind == "replicate"]
    assert {e.outcome.status for e in replicates} == {"completed"}


def test_a_pretraining_that_another_cell_needs_continues(tmp_path):
    """Cells begin with the same configurations; a replicate's pretraining is never stopped."""
    bench = ProbedBench(tmp_path, *SEARCHED_PRETEXT)
    bench.drain()
    again = ProbedBench(tmp_path, *SEARCHED_PRETEXT)
    assert again.scheduler.done
    assert outline(again) == outline(bench)
    replicates = [e for e in bench.scheduler.outcomes.values() if e.kind == "replicate"]
    assert len(replicates) == 8
    assert {e.outcome.status for e in replicates} == {"completed"}


def test_a_budget_of_trials_is_shared_equally(tmp_path):
    bench = Bench(tmp_path, "budget.trials=9")
    bench.drain()
    trials = [e.cell for e in bench.scheduler.outcomes.values() if e.kind == "trial"]
    assert sorted(Counter(trials).values()) == [2, 2, 2, 2]
    assert bench.scheduler.plan.planned()["trial"] == 8


def test_a_budget_that_leaves_a_cell_without_a_trial_is_refused(tmp_path):
    with pytest.raises(SpecError, match="found 3, expected at least one trial for each of the 4 cells"):
        Bench(tmp_path, "budget.trials=3")


def test_more_trials_keep_what_was_run_and_replace_the_replicates_of_a_choice_given_up(tmp_path):
    few, more = Bench(tmp_path / "few", "search.trials=1"), Bench(tmp_path / "more", "search.trials=9")
    few.drain()
    before = dict(few.scheduler.outcomes)
    few.study = load_study(str(TINY), sets=["search.trials=9"])
    few.open()
    assert not few.scheduler.done
    few.drain()
    more.drain()
    assert few.scheduler.done
    assert outline(few) == outline(more)
    for job, event in before.items():
        after = few.scheduler.outcomes[job]
        assert after == event or (event.kind == "replicate" and after.params != event.params)
    assert any(few.scheduler.outcomes[job] != event for job, event in before.items())
    assert StudyState.replay(few.ledger.events).outcomes == few.scheduler.outcomes


def test_several_objectives_reach_the_sampler_and_the_first_one_chooses(tmp_path):
    bench = Bench(
        tmp_path, "search.objectives=[val/dice, seconds]", "search.sampler=nsga2", "search.pruner=none",
        "search.trials=12", "search.startup_trials=4",
    )  # fmt: skip
    bench.drain()
    assert bench.scheduler.done
    for cell in bench.scheduler.plan.cells:
        trials = [e for e in bench.scheduler.outcomes.values() if e.kind == "trial" and e.cell == cell.key]
        assert {e.outcome.status for e in trials} == {"completed"}
        best = max(trials, key=lambda e: e.outcome.metrics[OBJECTIVE])
        replicates = [e for e in bench.scheduler.outcomes.values() if e.kind == "replicate" and e.cell == cell.key]
        assert [e.params for e in replicates] == [best.params] * 2
    taken_up = Bench(tmp_path)
    taken_up.study = bench.study
    taken_up.open()
    assert outline(taken_up) == outline(bench)
