"""Numbers of GPUs in place of `gpus: auto`, by the cluster's GPUs and the memory that a rehearsal has measured."""

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
from whole_studies import TINY

from study.config.definition import load_study
from study.planning.calibration import Calibration
from study.planning.gpu_share import chosen_line, leaves_gpus_open, share_key, with_numbers
from study.planning.jobs import ResourceRequest
from study.planning.plan import Plan
from study.rehearsal.job import GPU_SHARE
from study.rehearsal.outcomes import RehearsalOutcomes
from study.stages import STAGES


@pytest.fixture
def rates(tmp_path):
    return Calibration(tmp_path / "calibration.json")


def measure(rates, study, **shares):
    """Record the share of a GPU that the jobs of some stages have filled."""
    plan = Plan(with_numbers(study, 1))
    for cell in plan.cells:
        for job in (*plan.sources(cell.key, {}), plan.replicate(cell.key, 0, {})):
            if job.stage in shares:
                workload = STAGES[job.stage].workload(plan.resolve(cell.key, {}), job)
                rates.record(share_key(workload, job), shares[job.stage])


def asked(study):
    return {stage: request.gpus for stage, request in Plan(study).resource_requests()}


@pytest.mark.parametrize(("total", "expected"), [(0, 0), (1, 1), (8, 1)])
def test_a_job_takes_a_gpu_where_there_is_one(total, expected):
    study = load_study(str(TINY))
    assert leaves_gpus_open(study)
    chosen = with_numbers(study, total)
    assert not leaves_gpus_open(chosen)
    assert asked(chosen) == {"pretext": expected, "downstream": expected}


def test_jobs_with_more_workers_than_gpus_train_on_cpus():
    study = load_study(str(TINY), sets=["resources.pretext.workers=4"])
    assert asked(with_numbers(study, 2)) == {"pretext": 0, "downstream": 1}
    assert asked(with_numbers(study, 4)) == {"pretext": 1, "downstream": 1}


def test_numbers_of_the_study_file_stay():
    study = load_study(str(TINY), sets=["resources.pretext.gpus=0", "resources.downstream.gpus=0.5"])
    assert asked(with_numbers(study, 8)) == {"pretext": 0, "downstream": 0.5}


@pytest.mark.parametrize(("share", "expected"), [(0.05, 1 / 4), (0.2, 1 / 3), (0.35, 1 / 2), (0.37, 1), (0.9, 1)])
def test_jobs_share_a_gpu_as_far_as_their_measured_memory_allows(rates, share, expected):
    study = load_study(str(TINY))
    measure(rates, study, downstream=share)
    found = asked(with_numbers(study, 1, rates))
    assert found == {"pretext": 1, "downstream": pytest.approx(expected)}
    assert share * 1.25 <= 0.9 * found["downstream"] or expected == 1


def test_the_largest_job_of_a_stage_decides(rates):
    study = load_study(str(TINY))
    measure(rates, study, pretext=0.1, downstream=0.1)
    large = load_study(str(TINY), sets=["downstream.fit.batch_size=4"])
    assert asked(with_numbers(large, 1, rates)) == {"pretext": 1 / 4, "downstream": 1}
    measure(rates, large, downstream=0.4)
    assert asked(with_numbers(large, 1, rates)) == {"pretext": 1 / 4, "downstream": 1}


def test_workers_of_one_job_share_no_gpu(rates):
    study = load_study(str(TINY), sets=["resources.downstream.workers=2"])
    measure(rates, study, downstream=0.05)
    assert asked(with_numbers(study, 2, rates))["downstream"] == 1


def test_the_choice_is_said_and_changes_no_digest():
    study = load_study(str(TINY))
    chosen = with_numbers(study, 2)
    assert chosen_line(study, chosen) == "GPUs for each worker (auto): pretext 1, registration 1, downstream 1"
    assert chosen_line(study, with_numbers(study, 0)) == ""
    cell = study.cells()[0].key
    assert Plan(chosen).replicate(cell, 0, {}).digest == Plan(study).replicate(cell, 0, {}).digest
    assert json.dumps(study.document()["resources"]).count("auto") == 3


def test_a_rehearsal_on_gpus_records_what_each_job_filled(rates):
    """The largest share of jobs that are alike counts; jobs on CPUs record none."""
    study = load_study(str(TINY))
    plan = Plan(with_numbers(study, 1))
    cell = plan.cells[-1].key
    jobs = [*plan.sources(cell, {}), *(plan.replicate(each.key, 0, {}) for each in plan.cells)]
    ended = [
        (SimpleNamespace(outcome=SimpleNamespace(metrics={GPU_SHARE: 0.3 if number == 1 else 0.1})), job)
        for number, job in enumerate(jobs)
    ]
    rehearsal = SimpleNamespace(
        _plan=plan, _completed=lambda: iter(ended), _rate=lambda _: 100.0, _user=lambda end: cell
    )
    RehearsalOutcomes.record_rates(rehearsal, rates)
    shares = {key: rates.known(key) for key in rates._rates if key.startswith("share")}
    assert sorted(shares.values()) == [0.1, 0.3]
    on_cpus = Calibration(rates._path.with_name("other.json"))
    rehearsal._completed = lambda: ((end, replace(job, resources=ResourceRequest())) for end, job in ended)
    RehearsalOutcomes.record_rates(rehearsal, on_cpus)
    assert not [key for key in on_cpus._rates if key.startswith("share")]
