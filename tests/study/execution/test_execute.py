"""Jobs run in this process: from one stage's artifact to the next one's weights."""

import dataclasses
from pathlib import Path

import pytest
import torch
from whole_studies import TINY

from study.config.definition import load_study
from study.execution.execute import execute
from study.planning.datasets import Dataset
from study.planning.plan import Plan
from study.storage.artifacts import ArtifactStore
from study.storage.workspace import JobFolder
from trainables.data.store.prepare import prepare
from trainables.engine.runtime import LocalRuntime

SETS = [
    "factors.pretext.method=[local_contrastive]",
    "factors.downstream.label_fraction=[1.0]",
    "pretext.init_from.method=global_contrastive",
    "pretext.init_from.fit={epochs: 1, batch_size: 4, precision: float32}",
    "pretext.fit={epochs: 1, batch_size: 4, precision: float32}",
    "network={name: unet, backbone: {width: 4, depth: 2}}",
    "downstream.fit={epochs: 1, precision: float32}",
    "data.phantom={subjects: 10}",
]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Dataset:
    folder = tmp_path_factory.mktemp("data")
    store = prepare(load_study(str(TINY), sets=SETS).spec.data, None, folder, b"key", workers=1)
    return Dataset(str(store.folder), store.fingerprint)


def test_a_chain_of_stages_hands_its_weights_on(tmp_path, dataset):
    plan = Plan(load_study(str(TINY), sets=SETS), lambda settings: dataset)
    cell, artifacts = plan.cells[0].key, ArtifactStore(tmp_path / "artifacts")
    jobs = [*plan.shared_jobs(cell, {}), plan.replicate(cell, 0, {})]
    for job in jobs:
        outcome = execute(job, JobFolder(Path(tmp_path / job.id)), artifacts, LocalRuntime())
        assert outcome.status == "completed", outcome.reason
    encoder, network, trained = (artifacts.weights(job.digest) for job in jobs)
    assert {name.partition(".")[0] for name in encoder} == {"backbone"}
    assert {name.partition(".")[0] for name in network} == {"backbone", "decoder"}
    assert all(torch.equal(network[name], value) for name, value in encoder.items())
    assert trained.keys() - network.keys() == {"head.weight", "head.bias"}


def test_a_pretraining_that_stops_itself_ends_as_failed_with_its_reason_and_is_not_tried_again(tmp_path, dataset):
    plan = Plan(load_study(str(TINY), sets=SETS), lambda settings: dataset)
    first = plan.shared_jobs(plan.cells[0].key, {})[0]
    pretext = first.config["pretext"]
    guard = {**pretext["collapse"], "embedding_std": 5.0, "evaluations": 1}
    job = dataclasses.replace(first, config={**first.config, "pretext": {**pretext, "collapse": guard}})
    folder, artifacts = JobFolder(tmp_path / "job"), ArtifactStore(tmp_path / "artifacts")
    outcome = execute(job, folder, artifacts, LocalRuntime())
    assert outcome.status == "failed"
    assert outcome.reason is not None
    assert outcome.reason.startswith("the embeddings have collapsed: standard deviation ")
    written = folder.result.stat().st_mtime_ns
    assert execute(job, folder, artifacts, LocalRuntime()) == outcome
    assert folder.result.stat().st_mtime_ns == written
