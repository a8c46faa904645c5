"""Jobs, cost and execution of the stages that cells share, with fakes in place of the training."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest.mock import create_autospec

import numpy as np
import pytest
import torch
from toys import toy_store
from whole_studies import TINY

from study.config.definition import load_study
from study.planning.dataset_sizes import dataset_sizes
from study.planning.datasets import unprepared
from study.planning.jobs import Job, ResourceRequest
from study.planning.plan import Plan
from study.stages import STAGES, pretext, propagation, registration, strength
from study.stages.configuration import Configuration
from study.stages.pretext import PretextStage
from study.stages.propagation import PropagationStage
from study.stages.registration import RegistrationStage
from study.stages.stage import StageContext
from study.stages.strength import StrengthStage
from study.storage.artifacts import ArtifactStore
from study.storage.workspace import JobFolder
from trainables.common.seeds import derive
from trainables.data.sampling.targets import DenseLabels
from trainables.engine.runtime import LocalRuntime
from trainables.engine.trainer import FitResult
from trainables.pretext.pretrain import Pretrained
from trainables.pretext.strength import STRENGTHS, Tried
from trainables.registration.pseudo_labels import PseudoLabels, Quality
from trainables.registration.training import Registration

CHAIN = (
    "pretext.method=local_contrastive",
    "pretext.init_from={method: global_contrastive, fit: {epochs: 3, batch_size: 8}}",
)
PROPAGATED = ("pretext.method=random", "downstream.targets=propagated")
FITTED = FitResult({"loss": 0.5}, 2, [{"loss": 0.7}, {"loss": 0.5}])
WEIGHTS = {"backbone.weight": torch.ones(2)}


def configuration(*sets: str, seed: int = 0) -> Configuration:
    factors = "factors={pretext.method: null}"
    return Configuration(load_study(str(TINY), sets=[factors, *sets]).spec, unprepared, pretraining=seed)


def jobs(*sets: str) -> dict[str, Job]:
    """Return the last job of each stage."""
    planned = configuration(*sets)
    for stage in STAGES.shared:
        planned.add(stage.jobs(planned), stage.provides)
    return {job.stage: job for job in planned.jobs}


def context(folder: Path) -> StageContext:
    return StageContext(toy_store(), ArtifactStore(folder / "artifacts"), JobFolder(folder / "job"), LocalRuntime())


@pytest.mark.parametrize("start", ["random", "imagenet"])
def test_weights_that_need_no_pretraining_have_no_job(start):
    assert PretextStage().jobs(configuration(f"pretext.method={start}", "network.backbone=resnet18")) == []


def test_a_pretraining_is_named_after_its_method_and_its_digest():
    (job,) = PretextStage().jobs(configuration("resources.pretext={workers: 2, gpus: 1}"))
    assert job.id == f"pretext-simclr-{job.digest[:12]}"
    assert (job.kind, job.stage, job.cell, job.levels) == ("pretext", "pretext", None, {"method": "simclr"})
    assert (job.inputs, job.epochs) == ({}, 2)
    assert job.config["seed"] == derive(0, "pretext")
    assert job.resources == ResourceRequest(workers=2, gpus=1)


def test_what_determines_a_pretraining_is_in_its_digest():
    digest = jobs()["pretext"].digest
    assert (
        jobs(
            "factors={pretext.method: null, downstream.label_fraction: null}",
            "downstream.label_fraction=0.5",
            "resources.pretext.cpus=3",
        )["pretext"].digest
        == digest
    )
    for change in ("seed=1", "pretext.fit.epochs=7", "data.image_size=64", "pretext_data={image_size: 16}"):
        assert jobs(change)["pretext"].digest != digest, change


def test_the_guard_changes_how_a_pretraining_ends_and_not_what_it_is(tmp_path, monkeypatch):
    train = create_autospec(pretext.pretrain, return_value=Pretrained(WEIGHTS, FITTED))
    monkeypatch.setattr(pretext, "pretrain", train)
    chain = (*CHAIN, "pretext.init_from.guard=off")
    made = [PretextStage().jobs(configuration(*chain, f"pretext.guard={mode}")) for mode in ("stop", "warn")]
    assert [job.digest for job in made[0]] == [job.digest for job in made[1]]
    where = context(tmp_path)
    where.artifacts.put(made[1][0].digest, {}, WEIGHTS)
    for job in made[1]:
        PretextStage().run(job, where)
    assert [call.args[0].guard for call in train.call_args_list] == ["off", "warn"]


def test_pretraining_runs_from_the_weights_of_the_step_before(tmp_path, monkeypatch):
    train = create_autospec(pretext.pretrain, return_value=Pretrained(WEIGHTS, FITTED))
    monkeypatch.setattr(pretext, "pretrain", train)
    first, second = PretextStage().jobs(configuration(*CHAIN))
    where = context(tmp_path)
    result = PretextStage().run(first, where)
    assert (result.metrics, result.epochs) == ({"loss": 0.5}, 2)
    assert result.artifact is not None
    where.artifacts.put(first.digest, {}, result.artifact.weights)
    PretextStage().run(second, where)
    starts = [call.args[5] for call in train.call_args_list]
    assert starts[0] is None
    assert torch.equal(starts[1]["backbone.weight"], WEIGHTS["backbone.weight"])
    assert [call.args[0].fit.epochs for call in train.call_args_list] == [3, 2]


def test_each_step_of_a_chain_has_its_cost():
    planned = configuration(*CHAIN)
    sizes = dataset_sizes(planned.spec.data)
    first, second = (PretextStage().workload(planned.spec, job) for job in PretextStage().jobs(planned))
    per_epoch = sizes.sequences["train"] + sizes.sequences["val"] / 3
    assert (first.samples, second.samples) == pytest.approx((3 * per_epoch, 2 * per_epoch))
    assert first.rate_key != second.rate_key


def test_pretraining_on_all_frames_costs_all_frames():
    costs = []
    for frames in ("one_per_sequence", "all"):
        planned = configuration(f"pretext.frames={frames}")
        costs.append(PretextStage().workload(planned.spec, PretextStage().jobs(planned)[0]).samples)
    sizes = dataset_sizes(planned.spec.data)
    assert costs[1] / costs[0] == pytest.approx(sizes.frames["train"] / sizes.sequences["train"])


def test_a_strength_to_be_found_is_a_job_that_pretrainings_of_any_seed_read():
    auto = "pretext.augment.strength=auto"
    found, trained = jobs(auto)["strength"], jobs(auto)["pretext"]
    assert list(jobs(auto)) == ["strength", "pretext"]
    assert "strength" not in jobs()
    assert trained.inputs == {"strength": found.digest}
    other = configuration(auto, seed=1)
    for stage in STAGES.shared:
        other.add(stage.jobs(other), stage.provides)
    assert [job.digest == same.digest for job, same in zip(other.jobs, (found, trained), strict=True)] == [True, False]


def test_a_pretraining_runs_at_the_strength_that_was_found(tmp_path, monkeypatch):
    train = create_autospec(pretext.pretrain, return_value=Pretrained(WEIGHTS, FITTED))
    monkeypatch.setattr(pretext, "pretrain", train)
    made = jobs("pretext.augment.strength=auto")
    tried = create_autospec(strength.try_strengths, return_value=[Tried(0.25, 0.8), Tried(0.5, 0.7), Tried(0.75, 0.1)])
    monkeypatch.setattr(strength, "try_strengths", tried)
    where = context(tmp_path)
    chosen = StrengthStage().run(made["strength"], where)
    assert chosen.metrics["strength"] == 0.5
    assert chosen.metrics["val/skill_at_0.75"] == 0.1
    where.artifacts.put(made["strength"].digest, {"metrics": dict(chosen.metrics)})
    result = PretextStage().run(made["pretext"], where)
    assert train.call_args.args[0].augment.strength == 0.5
    assert result.metrics["strength"] == 0.5


def test_finding_a_strength_costs_its_short_pretrainings():
    planned = configuration("pretext.augment.strength=auto", "pretext.fit.epochs=50")
    (job,) = StrengthStage().jobs(planned)
    sizes = dataset_sizes(planned.spec.data)
    images = 10 * sizes.sequences["train"] + sizes.sequences["val"] / 3
    assert StrengthStage().workload(planned.spec, job).samples == pytest.approx(len(STRENGTHS) * images)


def test_registration_and_propagation_run_only_for_pseudo_labels():
    assert jobs("pretext.method=random") == {}
    assert list(jobs(*PROPAGATED)) == ["registration", "propagation"]


def test_a_propagation_reads_the_registration_and_has_a_single_worker():
    made = jobs(*PROPAGATED, "resources.registration={workers: 2, cpus: 3}", "registration.fit.epochs=9")
    first, second = made["registration"], made["propagation"]
    assert second.inputs == {"registration": first.digest}
    assert second.config["start"] == first.digest
    assert "inputs" not in second.config
    assert (first.resources, second.resources) == (ResourceRequest(workers=2, cpus=3), ResourceRequest(cpus=3))
    assert (first.epochs, second.epochs) == (9, 1)
    assert first.config["seed"] == derive(0, "registration")


def test_a_registration_is_shared_by_ways_to_propagate():
    one, other = jobs(*PROPAGATED), jobs(*PROPAGATED, "propagation.direction=forward")
    assert one["registration"].digest == other["registration"].digest
    assert one["propagation"].digest != other["propagation"].digest


def test_registration_runs_and_returns_its_weights(tmp_path, monkeypatch):
    train = create_autospec(registration.train_registration, return_value=Registration(WEIGHTS, FITTED))
    monkeypatch.setattr(registration, "train_registration", train)
    job = jobs(*PROPAGATED)["registration"]
    result = RegistrationStage().run(job, context(tmp_path))
    assert (result.metrics, result.epochs) == ({"loss": 0.5}, 2)
    assert result.artifact is not None
    assert result.artifact.weights == WEIGHTS
    assert train.call_args.args[3] == job.config["seed"]


def test_propagation_stores_rows_masks_and_their_quality(tmp_path, monkeypatch):
    labels = DenseLabels(np.arange(2), np.zeros((2, 8, 8), np.uint8))
    quality = (Quality(0, 0, 0.5, "forward", (0.75,), (1.0,), (2.0,)),)
    made = create_autospec(propagation.pseudo_labels, return_value=PseudoLabels(labels, quality))
    monkeypatch.setattr(propagation, "pseudo_labels", made)
    job, where = jobs(*PROPAGATED)["propagation"], context(tmp_path)
    where.artifacts.put(job.inputs["registration"], {}, WEIGHTS)
    result = PropagationStage().run(job, where)
    assert result.metrics == {"frames": 2.0, "quality/dice/forward": 0.75}
    assert result.artifact is not None
    assert result.artifact.arrays["rows"].tolist() == [0, 1]
    assert result.artifact.tables["quality"].splitlines()[1] == "0,0,0.5,forward,bright,0.75,1.0,2.0"
    assert result.artifact.weights is None


def test_all_pairs_cost_more_than_one_and_a_propagation_a_third_of_training():
    costs: dict[str, Any] = {}
    for pairs in ("one_per_sequence", "all"):
        sets = ["factors={pretext.method: null}", *PROPAGATED, f"registration.pairs={pairs}"]
        planned = Plan(load_study(str(TINY), sets=sets))
        cell = planned.cells[0].key
        for job in planned.shared_jobs(cell, {}):
            if job.stage != "pretext":
                costs[f"{job.stage} {pairs}"] = STAGES[job.stage].workload(planned.resolve(cell, {}), job)
    one, every = costs["registration one_per_sequence"], costs["registration all"]
    sizes = dataset_sizes(load_study(str(TINY)).spec.data)
    assert every.samples / one.samples == pytest.approx((sizes.frames["train"] / sizes.sequences["train"]) ** 2)
    carried = costs["propagation all"]
    assert carried.samples == pytest.approx(2 * sum(sizes.frames.values()) / 3)
    assert carried.rate_key == every.rate_key
