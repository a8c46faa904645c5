"""Trials and replicates: their configs and inputs, how they run, and what they cost."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import create_autospec

import numpy as np
import pytest
import torch
from toys import toy_store
from whole_studies import TINY

from study.config.definition import load_study
from study.config.problems import SpecError
from study.planning.dataset_sizes import dataset_sizes
from study.planning.jobs import Job
from study.planning.plan import Plan
from study.stages import DOWNSTREAM, downstream
from study.stages.stage import StageContext, StageResult
from study.storage.artifacts import ArtifactStore
from study.storage.workspace import JobFolder
from trainables.common.errors import UserError
from trainables.common.label_counts import LabelCounts
from trainables.common.seeds import derive
from trainables.downstream.segmentation import Predictions
from trainables.downstream.segmentation_trainer import FinetuneResult
from trainables.engine.runtime import LocalRuntime
from trainables.engine.trainer import FitResult
from trainables.networks.imagenet import ImageNetWeights

FITTED = FitResult({"val/dice": 0.5}, 2, [{"loss": 0.7}, {"loss": 0.5}])
STATE = {"head.weight": torch.ones(1)}


def plan(*sets: str) -> Plan:
    return Plan(load_study(str(TINY), sets=["factors={pretext.method: null}", *sets]))


def job(kind: str, *sets: str) -> Job:
    planned = plan(*sets)
    make = planned.trial if kind == "trial" else planned.replicate
    return make(planned.cells[0].key, 1, {})


def predictions() -> Predictions:
    store = toy_store()
    rows = np.flatnonzero(store.index["split"] == 2)
    masks = np.asarray(store.masks)[store.index["mask"][rows]]
    return Predictions(rows, masks, rows, masks, rows, np.ones((len(rows), 1)), 0.1)


@pytest.fixture
def finetune(monkeypatch: pytest.MonkeyPatch):
    fake = create_autospec(downstream.finetune)
    fake.return_value = FinetuneResult(STATE, FITTED, LabelCounts(5, 2), None)
    monkeypatch.setattr(downstream, "finetune", fake)
    return fake


def run(wanted: Job, folder: Path, weights: dict[str, torch.Tensor] | None = None) -> StageResult:
    artifacts = ArtifactStore(folder / "artifacts")
    for address in wanted.inputs.values():
        artifacts.put(address, {}, weights, {"rows": np.arange(1), "masks": np.zeros((1, 8, 8), np.uint8)})
    (folder / "job").mkdir(exist_ok=True)
    return DOWNSTREAM.run(wanted, StageContext(toy_store(), artifacts, JobFolder(folder / "job"), LocalRuntime()))


def test_seeds_are_one_for_all_trials_and_one_for_each_replicate():
    assert job("trial").config["seed"] == derive(0, "search")
    assert job("replicate").config["seed"] == derive(0, "replicate", 1)


def test_only_a_trial_that_searches_for_smoothness_segments_validation_sequences():
    sets = ("search.objectives=[val/dice, val/smoothness]", "search.sampler=nsga2", "search.pruner=none")
    assert job("trial", *sets).config["sequences"] is True
    assert "sequences" not in job("replicate", *sets).config
    assert "sequences" not in job("trial").config


def test_pseudo_labels_are_an_input_only_where_they_are_the_targets():
    assert job("trial", "pretext.method=random").inputs == {}
    assert set(job("trial", "downstream.targets=propagated").inputs) == {"pretext", "labels"}


def test_a_trial_has_no_artifact_and_trains_from_the_pretrained_weights(tmp_path, finetune):
    result = run(job("trial"), tmp_path, {"backbone.weight": torch.ones(2)})
    assert result == StageResult({"val/dice": 0.5, "labelled_subjects": 5.0, "validation_subjects": 2.0}, 2)
    assert torch.equal(finetune.call_args.args[2]["backbone.weight"], torch.ones(2))
    assert finetune.call_args.kwargs["test"] is False
    assert finetune.call_args.kwargs["dense"] is None


def test_a_replicate_writes_test_results_and_keeps_the_validation_metrics_with_its_weights(tmp_path, finetune):
    finetune.return_value = FinetuneResult(STATE, FITTED, LabelCounts(5, 2), predictions())
    result = run(job("replicate", "pretext.method=random"), tmp_path)
    assert finetune.call_args.args[2] is None
    assert result.metrics["test/dice"] == 1.0
    assert result.artifact is not None
    assert (result.artifact.weights, result.artifact.metrics) == (STATE, {"val/dice": 0.5})
    assert JobFolder(tmp_path / "job").test.read_text().startswith("subject,row,phase,dice,dice/bright")


def test_imagenet_weights_and_pseudo_labels_reach_the_training(tmp_path, finetune):
    sets = ("pretext.method={name: imagenet, weights: resnet18.pth}", "network.backbone=resnet18")
    run(job("trial", *sets, "downstream.targets=propagated"), tmp_path)
    assert finetune.call_args.args[2] == ImageNetWeights("resnet18.pth", False)
    assert finetune.call_args.kwargs["dense"].masks.shape == (1, 8, 8)


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("imagenet", r"no file is given"),
        ("{name: imagenet, weights: /nowhere.pth}", r"there is no file /nowhere\.pth"),
    ],
)
def test_missing_imagenet_weights_are_found_before_anything_runs(method, message):
    with pytest.raises(UserError, match=rf"cell label_fraction=0\.5: pretext\.method: .*{message}"):
        plan(f"pretext.method={method}", "network.backbone=resnet18").check()


def test_imagenet_weights_that_are_there_or_may_be_fetched_are_no_problem(tmp_path):
    path = tmp_path / "resnet18.pth"
    path.touch()
    for method in (f"{{name: imagenet, weights: {path}}}", "{name: imagenet, download: true}", "random"):
        plan(f"pretext.method={method}", "network.backbone=resnet18").check()


def samples(*sets: str) -> float:
    planned = plan("downstream.fit.evaluate_every=4", "factors={downstream.label_fraction: null}", *sets)
    (cell,) = planned.cells
    return DOWNSTREAM.workload(planned.resolve(cell.key, {}), planned.trial(cell.key, 0, {})).samples


def test_the_cost_follows_labels_folds_and_targets():
    sizes = dataset_sizes(load_study(str(TINY)).spec.data)
    epochs, val = 4, sizes.labelled["val"] / 3
    labelled, dense = sizes.labelled["train"], sizes.frames["train"]
    assert samples() == pytest.approx(epochs * labelled + val)
    assert samples("downstream.label_fraction=0.5") == pytest.approx(epochs * labelled / 2 + val)
    assert samples("downstream.labels=3") == pytest.approx(epochs * labelled * 3 / sizes.sequences["train"] + val)
    assert samples("downstream.folds=2") == pytest.approx(2 * (epochs * labelled + val))
    assert samples("downstream.targets=propagated") == pytest.approx(epochs * dense + val)


def test_resources_are_those_of_the_section():
    assert job("trial", "resources.downstream.gpus=0.5").resources.gpus == 0.5
    with pytest.raises(SpecError, match=r"resources\.downstream"):
        plan("resources.downstream.gpus=1.5")
