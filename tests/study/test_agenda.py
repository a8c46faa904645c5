"""The agenda driven by hand: what it gives out, and that replaying its ledger gives the same again."""

import random
from pathlib import Path

import pytest

from study.agenda import OBJECTIVE, Agenda, fits
from study.declaration.definition import Study, load_study
from study.jobs import Job, Need, Outcome
from study.ledger import Ledger
from study.plan import Plan

TINY = Path(__file__).parent / "tiny.yaml"
PLENTY = Need(cpus=100, gpus=100)


def quality(job: Job, epoch: int) -> float:
    """A made-up learning curve that depends on the job's configuration alone."""
    rate = job.params.get("downstream.fit.optimizer.lr", 1e-3)
    return 1 / (1 + abs(rate - 3e-3) * 300) * (1 - 0.5**epoch)


class Bench:
    """An agenda with its ledger in a folder, and a set of artifacts that 'exist'."""

    def __init__(self, folder: Path, *sets: str) -> None:
        self.study: Study = load_study(str(TINY), sets=sets)
        self.ledger = Ledger(folder / "ledger.jsonl", lambda: 0.0)
        self.artifacts: set[str] = set()
        self.ran: list[str] = []
        self.open()

    def open(self) -> None:
        self.agenda = Agenda(Plan(self.study), self.ledger, self.artifacts.__contains__)

    def run(self, job: Job) -> None:
        self.ran.append(job.id)
        for epoch in range(1, job.epochs + 1):
            value = quality(job, epoch)
            if self.agenda.report(job.id, epoch, {OBJECTIVE: value}):
                self.agenda.finish(job.id, Outcome("stopped", {OBJECTIVE: value}, epoch, 1.0))
                return
        if job.kind == "pretext":
            self.artifacts.add(job.digest)
        self.agenda.finish(job.id, Outcome("completed", {OBJECTIVE: quality(job, job.epochs)}, job.epochs, 1.0))

    def drain(self) -> None:
        while (job := self.agenda.next(PLENTY)) is not None:
            self.run(job)


def outline(bench: Bench) -> list[tuple[object, ...]]:
    """The ended jobs with their configurations, in no order."""
    return sorted((e["job"], e["status"], str(e["params"]), e["epochs"]) for e in bench.agenda.outcomes.values())


def test_it_runs_exactly_what_is_planned(tmp_path):
    bench = Bench(tmp_path)
    bench.drain()
    assert bench.agenda.done
    kinds = [event["kind"] for event in bench.agenda.outcomes.values()]
    assert {kind: kinds.count(kind) for kind in kinds} == bench.agenda.plan.planned()
    assert len(bench.ran) == len(set(bench.ran)) == 21


def test_who_needs_a_pretraining_waits_until_it_is_there_and_it_is_run_once(tmp_path):
    bench = Bench(tmp_path)
    given: list[Job] = []
    while (job := bench.agenda.next(PLENTY)) is not None:
        given.append(job)
    assert [job.kind for job in given].count("pretext") == 1
    assert {job.levels["method"] for job in given if job.kind == "trial"} == {"random"}
    pretext = next(job for job in given if job.kind == "pretext")
    bench.run(pretext)
    after = bench.agenda.next(PLENTY)
    assert after is not None
    assert after.levels["method"] == "simclr"
    assert after.start == pretext.digest


def test_a_cell_replicates_the_configuration_that_was_best_on_validation(tmp_path):
    bench = Bench(tmp_path)
    bench.drain()
    for cell in bench.agenda.plan.cells:
        trials = [e for e in bench.agenda.outcomes.values() if e["kind"] == "trial" and e["cell"] == cell.key]
        best = max((e for e in trials if e["status"] == "completed"), key=lambda e: e["metrics"][OBJECTIVE])
        replicates = [e for e in bench.agenda.outcomes.values() if e["kind"] == "replicate" and e["cell"] == cell.key]
        assert [e["params"] for e in replicates] == [best["params"]] * 2


def test_cells_try_the_same_random_configurations_and_share_seeds_and_subsets(tmp_path):
    bench = Bench(tmp_path)
    plan = bench.agenda.plan
    seeds = {
        (job.index, job.config["seed"]) for c in plan.cells for job in [plan.replicate(c.key, i, {}) for i in (0, 1)]
    }
    assert len(seeds) == 2
    bench.drain()
    first = {str(e["params"]) for e in bench.agenda.outcomes.values() if e["kind"] == "trial" and e["index"] == 0}
    assert len(first) == 1


def test_only_replicates_see_the_test_split(tmp_path):
    plan = Bench(tmp_path).agenda.plan
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
        job = broken.agenda.next(PLENTY)
        if job is None:
            break
        if chance.random() < 0.3:  # the driver dies while the job runs, after some of its reports
            for epoch in range(1, chance.randint(1, job.epochs)):
                broken.agenda.report(job.id, epoch, {OBJECTIVE: quality(job, epoch)})
            broken.ledger.close()
            broken.ledger = Ledger(tmp_path / "broken" / "ledger.jsonl", lambda: 0.0)
            broken.open()
        else:
            broken.run(job)
    assert broken.agenda.done
    assert outline(broken) == outline(whole)


def test_a_failed_pretraining_fails_what_needs_it_and_nothing_else(tmp_path):
    bench = Bench(tmp_path)
    while (job := bench.agenda.next(PLENTY)) is not None:
        if job.kind == "pretext":
            bench.agenda.finish(job.id, Outcome("failed", {}, 0, 1.0, "it collapsed"))
        else:
            bench.run(job)
    assert bench.agenda.done
    by_method = {"simclr": set(), "random": set()}
    for event in bench.agenda.outcomes.values():
        if event["cell"]:
            by_method["simclr" if "simclr" in event["cell"] else "random"].add(event["status"])
            if event["status"] == "failed":
                assert event["reason"] == "what it needs failed: pretext: it collapsed"
    assert by_method["simclr"] == {"failed"}
    assert "failed" not in by_method["random"]


def test_nothing_is_given_out_that_does_not_fit(tmp_path):
    bench = Bench(tmp_path, "resources.downstream.gpus=0.5", "resources.pretext.workers=4")
    job = bench.agenda.next(Need(cpus=2, gpus=1))
    assert job is not None
    assert job.kind == "trial"
    assert bench.agenda.next(Need(cpus=1, gpus=0.4)) is None


def test_needs_add_up_over_workers():
    assert fits(Need(workers=2, cpus=2, gpus=0.5), Need(cpus=4, gpus=1))
    assert not fits(Need(workers=2, cpus=2, gpus=0.6), Need(cpus=4, gpus=1))
    assert not fits(Need(workers=3, cpus=2), Need(cpus=4, gpus=1))
