"""Finished work is not counted again: pretrainings, trials and replicates that a workspace has."""

from dataclasses import replace

import pytest
from whole_studies import TINY

from study.config.definition import load_study
from study.planning.calibration import Calibration
from study.planning.datasets import prepared_in, unprepared
from study.planning.estimate import estimate
from study.planning.finished import FinishedWork, finished_work
from study.planning.jobs import Outcome
from study.planning.plan import Plan
from study.storage.artifacts import ArtifactStore
from study.storage.events import JobFinished
from study.storage.ledger import Ledger
from study.storage.workspace import Workspace
from trainables.data.store.prepare import prepare


@pytest.fixture(scope="module")
def rates(tmp_path_factory) -> Calibration:
    measured = Calibration(tmp_path_factory.mktemp("rates") / "calibration.json")
    estimate(Plan(load_study(str(TINY))), measured)
    return measured


def test_what_has_ended_is_subtracted_by_cell_and_kind(rates):
    plan = Plan(load_study(str(TINY)))
    whole, cell = estimate(plan, rates), plan.cells[0].key
    done = FinishedWork(lambda address: True, {(cell, "trial"): 2, (cell, "replicate"): 99})
    left = estimate(plan, rates, done)
    assert left.hours["pretext"] == 0.0
    assert left.hours["trial"] < whole.hours["trial"]
    assert left.finished == {"pretext": 1, "trial": 2, "replicate": 2}
    assert whole.finished == {}


def test_gpu_hours_are_those_of_the_requested_gpus(rates):
    assert estimate(Plan(load_study(str(TINY))), rates).gpu_hours == 0.0
    plan = Plan(load_study(str(TINY), sets=["resources.downstream.gpus=0.5"]))
    cost = estimate(plan, rates)
    assert cost.gpu_hours == pytest.approx(0.5 * (cost.hours["trial"] + cost.hours["replicate"]))


def test_a_workspace_is_asked_for_frames_artifacts_and_ended_jobs(tmp_path):
    workspace, study = Workspace(tmp_path / "runs").create(), load_study(str(TINY))
    data = study.spec.data
    assert prepared_in(workspace)(data) == unprepared(data)
    assert finished_work("tiny", workspace).jobs == {}
    store = prepare(data, None, workspace.data, workspace.subject_key())
    plan = Plan(study, prepared_in(workspace))
    assert plan.dataset(data).fingerprint == store.fingerprint
    cell = plan.cells[-1].key
    (pretext,) = plan.shared_jobs(cell, {})
    ArtifactStore(workspace.artifacts).put(pretext.digest, {})
    workspace.study("tiny").root.mkdir(parents=True)
    ledger = Ledger(workspace.study("tiny").ledger, lambda: 0.0)
    trial = replace(plan.trial(cell, 0, {}))
    ledger.append(JobFinished(trial.id, "replicate", cell, 0, {}, trial.digest, Outcome("completed", {}, 1, 1.0)))
    ledger.close()
    found = finished_work("tiny", workspace)
    assert found.has_artifact(pretext.digest)
    assert found.jobs == {(cell, "replicate"): 1}
