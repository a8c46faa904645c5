"""Pretrainings of a study: their starting weights, and the cells that share them."""

from collections.abc import Sequence

import pytest
from whole_studies import TINY

from study.config.definition import load_study
from study.config.problems import SpecError
from study.planning.jobs import Job, Outcome, ResourceRequest
from study.planning.plan import Plan
from study.scheduling.scheduler import JobScheduler
from study.storage.ledger import Ledger

CHAIN = (
    "factors.pretext.method=[local_contrastive]",
    "pretext.init_from={method: global_contrastive, fit: {epochs: 2, batch_size: 8, precision: float32}}",
)
GLOBAL = ("factors.pretext.method=[global_contrastive]",)


def plan(sets: Sequence[str]) -> Plan:
    return Plan(load_study(str(TINY), sets=["factors.downstream.label_fraction=[1.0]", *sets]))


def pretexts(*sets: str) -> list[Job]:
    planned = plan(sets)
    return planned.shared_jobs(planned.cells[0].key, {})


def test_a_chain_is_a_job_for_each_stage_each_from_the_one_before():
    one, two = pretexts(*CHAIN)
    assert [one.levels["method"], two.levels["method"]] == ["global_contrastive", "local_contrastive"]
    assert (one.inputs, two.inputs) == ({}, {"pretext": one.digest})
    planned = plan(CHAIN)
    assert planned.replicate(planned.cells[0].key, 0, {}).inputs == {"pretext": two.digest}
    assert planned.planned()["pretext"] == 2


def test_the_first_pretraining_of_a_chain_is_shared_with_cells_that_use_only_it():
    assert pretexts(*GLOBAL)[0].digest == pretexts(*CHAIN)[0].digest


def test_a_change_of_the_first_pretraining_changes_all_that_follow():
    one, two = pretexts(*CHAIN)
    other = pretexts(*CHAIN, "pretext.init_from.fit.epochs=7")
    assert other[0].digest != one.digest
    assert other[1].digest != two.digest
    later = pretexts(*CHAIN, "pretext.fit.epochs=7")
    assert later[0].digest == one.digest
    assert later[1].digest != two.digest


@pytest.mark.parametrize("method", ["denoise", "masked"])
def test_the_decoder_is_in_the_digest_only_where_it_is_trained(method):
    wider = "network.width=32"
    backbone, whole = GLOBAL, (f"factors.pretext.method=[{method}]",)
    assert pretexts(*backbone)[0].digest == pretexts(*backbone, wider)[0].digest
    assert pretexts(*whole)[0].digest != pretexts(*whole, wider)[0].digest
    assert [a.digest == b.digest for a, b in zip(pretexts(*CHAIN), pretexts(*CHAIN, wider), strict=True)] == [
        True,
        False,
    ]


def test_a_failed_pretraining_fails_the_rest_of_its_chain(tmp_path):
    free, artifacts = ResourceRequest(cpus=100), set[str]()
    scheduler = JobScheduler(plan(CHAIN), Ledger(tmp_path / "ledger.jsonl", lambda: 0.0), artifacts.__contains__)
    first = scheduler.next_job(free)
    assert first is not None
    assert first.levels["method"] == "global_contrastive"
    assert scheduler.next_job(free) is None
    artifacts.add(first.digest)
    scheduler.finish(first.id, Outcome("completed", {}, 2, 1.0))
    second = scheduler.next_job(free)
    assert second is not None
    assert second.inputs == {"pretext": first.digest}
    scheduler.finish(second.id, Outcome("failed", {}, 0, 1.0, "it diverged"))
    assert scheduler.next_job(free) is None
    assert scheduler.done
    trials = [event for event in scheduler.outcomes.values() if event.kind == "trial"]
    assert trials
    assert {event.outcome.reason for event in trials} == {f"dependency failed: {second.id}"}


def test_a_method_that_needs_an_earlier_pretraining_is_refused_without_one():
    with pytest.raises(SpecError, match=r"pretext.*: init_from is missing: LocalContrastive needs an earlier"):
        load_study(str(TINY), sets=CHAIN[:1])


def test_replicates_take_turns_at_the_pretrainings_and_trials_take_the_first():
    planned = plan([*GLOBAL, "replicates={runs: 5, pretrainings: 2}"])
    cell = planned.cells[0].key
    starts = [planned.replicate(cell, index, {}).inputs["pretext"] for index in range(5)]
    assert len(set(starts)) == 2
    assert starts == [starts[0], starts[1]] * 2 + [starts[0]]
    assert planned.trial(cell, 0, {}).inputs["pretext"] == starts[0]
    assert [job.digest for job in planned.shared_jobs(cell, {})] == starts[:2]
    assert [planned.sources_of(planned.replicate(cell, k, {}))[0].digest for k in (0, 1)] == starts[:2]
    assert (planned.planned()["pretext"], planned.planned()["replicate"]) == (2, 5)


def test_more_pretrainings_keep_the_first_one():
    assert pretexts(*GLOBAL, "replicates={runs: 2, pretrainings: 2}")[0].digest == pretexts(*GLOBAL)[0].digest


@pytest.mark.parametrize("replicates", ["{runs: 2, pretrainings: 3}", "{runs: 2, pretrainings: 0}", "{runs: 0}"])
def test_impossible_numbers_of_pretrainings_are_refused(replicates):
    with pytest.raises(SpecError, match="expected"):
        plan([f"replicates={replicates}"])
