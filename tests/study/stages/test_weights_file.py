"""Starts from weight files: in digests by content, checked before anything runs, loaded by the job."""

from __future__ import annotations

import json
from pathlib import Path
from unittest.mock import create_autospec

import pytest
import torch
from toys import toy_store
from whole_studies import TINY, call

from study.config.definition import load_study
from study.planning.jobs import Job
from study.planning.plan import Plan
from study.stages import DOWNSTREAM, downstream, pretext
from study.stages.pretext import PretextStage, step_of
from study.stages.stage import StageContext
from study.storage.artifacts import ArtifactStore
from study.storage.workspace import JobFolder
from study.tracking.model_card import model_card
from trainables.common.errors import CheckpointError, UserError
from trainables.common.label_counts import LabelCounts
from trainables.downstream.segmentation_trainer import FinetuneResult
from trainables.engine.runtime import LocalRuntime
from trainables.engine.settings import FitResult
from trainables.networks.libraries import timm
from trainables.networks.weight_files.read import WeightsFile
from trainables.pretext.pretrain import Pretrained

BACKBONE = "network={name: linear, backbone: {name: timm, model: test_efficientnet}}"
KERNEL = "backbone.model.conv_stem.weight"
FITTED = FitResult({"loss": 0.5}, 1, [{"loss": 0.5}])
METHOD = "pretext.method={{name: file, path: {0}}}"
CONTINUED = "pretext.init_from={{file: {0}}}"
CHAIN = "pretext.init_from={{method: byol, fit: {{epochs: 1, batch_size: 8}}, init_from: {{file: {0}}}}}"


def planned(*sets: str) -> Plan:
    factors = "factors={pretext.method: null, downstream.label_fraction: null}"
    return Plan(load_study(str(TINY), sets=[factors, BACKBONE, *sets]))


def jobs_of(*sets: str) -> list[Job]:
    plan = planned(*sets)
    final = plan.trial(plan.cells[0].key, 0, {})
    return [*plan.sources_of(final), final]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    path = tmp_path / "weights.pth"
    torch.save(timm().create_model("test_efficientnet").state_dict(), path)
    return path


def context(folder: Path) -> StageContext:
    (folder / "job").mkdir(exist_ok=True)
    return StageContext(toy_store(), ArtifactStore(folder / "artifacts"), JobFolder(folder / "job"), LocalRuntime())


@pytest.mark.parametrize("setting", [METHOD, CONTINUED, CHAIN], ids=["start", "continued", "chain"])
def test_the_content_of_a_file_is_in_the_digests_and_its_path_is_not(setting, file, tmp_path):
    before = [job.digest for job in jobs_of(setting.format(file))]
    moved = tmp_path / "moved.pth"
    moved.write_bytes(file.read_bytes())
    assert [job.digest for job in jobs_of(setting.format(moved))] == before
    torch.save(timm().create_model("test_efficientnet").state_dict(), moved)
    after = [job.digest for job in jobs_of(setting.format(moved))]
    assert len(after) == {METHOD: 1, CONTINUED: 2, CHAIN: 3}[setting]
    assert not set(before) & set(after)


def test_a_start_reaches_the_training_and_its_report_the_jobs_folder(file, tmp_path, monkeypatch):
    train = create_autospec(downstream.finetune, return_value=FinetuneResult({}, FITTED, LabelCounts(1, 1), None))
    monkeypatch.setattr(downstream, "finetune", train)
    (job,) = jobs_of(METHOD.format(file))
    DOWNSTREAM.run(job, context(tmp_path))
    start = train.call_args.args[2]
    theirs = torch.load(file, weights_only=True)
    torch.testing.assert_close(start[KERNEL], theirs["conv_stem.weight"].sum(1, keepdim=True))
    report = json.loads((tmp_path / "job" / "initial_weights.json").read_text())
    assert (report["share"], report["adapted"], report["missing"]) == (1.0, ["conv_stem.weight"], [])
    assert report["left_over"][0] == "conv_head.weight"
    about = {"stage": "downstream", "digest": job.digest, "config": job.config}
    assert "- initial weights: file `sha256:" in model_card("Weights", about, {}, context(tmp_path).artifacts)


@pytest.mark.parametrize("setting", [CONTINUED, CHAIN], ids=["continued", "chain"])
def test_a_pretraining_continues_from_a_file(setting, file, tmp_path, monkeypatch):
    train = create_autospec(pretext.pretrain, return_value=Pretrained({}, FITTED))
    monkeypatch.setattr(pretext, "pretrain", train)
    first, *_ = jobs_of(setting.format(file))
    PretextStage().run(first, context(tmp_path))
    start = train.call_args.args[5]
    theirs = torch.load(file, weights_only=True)
    torch.testing.assert_close(start[KERNEL], theirs["conv_stem.weight"].sum(1, keepdim=True))
    assert step_of(first).chain == [step_of(first)]


def test_a_method_that_needs_earlier_weights_takes_those_of_a_file(file):
    first, _ = jobs_of("pretext.method=local_contrastive", CONTINUED.format(file))
    assert step_of(first).init_from is not None


def test_a_file_that_changes_after_planning_is_refused(file, tmp_path):
    (job,) = jobs_of(METHOD.format(file))
    torch.save({}, file)
    with pytest.raises(CheckpointError, match=r"weights have changed since the job was planned \(found sha256:"):
        DOWNSTREAM.run(job, context(tmp_path))


@pytest.mark.parametrize("setting", [METHOD, CONTINUED])
def test_files_that_do_not_fit_are_found_before_anything_runs(setting, file):
    planned(setting.format(file)).check()
    with pytest.raises(UserError, match=r"/nowhere\.pth: no such file"):
        planned(setting.format("/nowhere.pth")).check()
    other = "network={name: linear, backbone: {name: timm, model: test_convnext}}"
    with pytest.raises(UserError, match="Too little fits the encoder"):
        planned(setting.format(file), other).check()


def test_validate_names_the_setting(file, capsys):
    sets = ("--set", "factors={pretext.method: null}", "--set", BACKBONE, "--set", METHOD.format("/nowhere.pth"))
    code, said = call(capsys, "validate", str(TINY), *sets)
    assert code == 2, said
    assert "pretext.method: /nowhere.pth: no such file" in said
    code, said = call(capsys, "validate", str(TINY), *sets[:-1], METHOD.format(file))
    assert code == 0, said
    assert "tensors of the encoder loaded (100.0% of its numbers) by native names; adapted: 1 (conv_stem" in said
    assert "missing: none; left over in the file: 7 (conv_head.weight, " in said
    code, said = call(capsys, "validate", str(TINY), *sets[:-1], "pretext.method={name: file}")
    assert code == 2
    assert "pretext.method.path: missing" in said


def test_a_file_has_no_decoder(file):
    with pytest.raises(UserError, match=r"downstream\.transfer\.load: file has a backbone only"):
        planned(METHOD.format(file), "downstream.transfer.load=network").check()


def test_nnunet_takes_a_file_of_its_own_names_by_its_path(tmp_path, monkeypatch):
    train = create_autospec(downstream.finetune, return_value=FinetuneResult({}, FITTED, LabelCounts(1, 1), None))
    monkeypatch.setattr(downstream, "finetune", train)
    path = tmp_path / "checkpoint.pth"
    torch.save({"network_weights": {"encoder.stages.0.0.convs.0.conv.weight": torch.zeros(4)}}, path)
    plan = planned("network=nnunet", METHOD.format(path), "downstream.fit={epochs: 1}")
    assert not [problem for _, problem in plan.problems() if "encoder" in problem]
    job = plan.trial(plan.cells[0].key, 0, {})
    DOWNSTREAM.run(job, context(tmp_path))
    assert train.call_args.args[2] == WeightsFile(str(path))
    torch.save({"conv1.weight": torch.zeros(4)}, path)
    assert [problem for _, problem in plan.problems() if "has no encoder of nnU-Net (found conv1.weight" in problem]
