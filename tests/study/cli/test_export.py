import json
import shlex
from pathlib import Path

import optuna
import pytest
import torch
from safetensors.torch import load_file

from study.cli.app import app
from study.cli.main import guarded
from study.planning.jobs import Outcome
from study.storage.artifacts import ArtifactStore
from study.storage.events import JobFinished
from study.storage.ledger import Ledger
from study.storage.plan_file import write_plan
from study.storage.workspace import Workspace
from tests.fake_trained import write_trained
from tests.study.scheduling.test_scheduler import Bench
from trainables.networks import ResNet50
from trainables.networks.torchvision_ops import torchvision

CONFIG = {"data": "f00", "seed": 3, "pretext": {"method": {"name": "simclr"}}}


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """Return a workspace in which two methods have pretrained a ResNet-50 on one channel."""
    root = tmp_path_factory.mktemp("ws")
    place = Workspace(root)
    folder = place.study("mine")
    folder.root.mkdir(parents=True)
    folder.plan.write_text(json.dumps({"name": "mine"}))
    ledger = Ledger(folder.ledger, lambda: 0.0)
    network = ResNet50().build(1)
    for method in ("simclr", "byol"):
        weights = {f"backbone.{name}": value for name, value in network.state_dict().items()}
        about = {"stage": "pretext", "config": CONFIG, "metrics": {"loss": 1.25}, "job": method}
        ArtifactStore(place.artifacts).put(method, about, weights | {"decoder.x": torch.zeros(2)})
        outcome = Outcome("completed", {}, 1, 1.0)
        ledger.append(JobFinished(f"pretext-{method}-abc", "pretext", None, 0, {}, method, outcome))
    ledger.close()
    return root


def run(capsys, *arguments: str) -> tuple[int, str, str]:
    code = guarded(lambda: app(["export", "backbone", *arguments], standalone_mode=False))
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_torchvision_loads_the_backbone_with_equal_outputs_for_grey_images(capsys, trained, tmp_path):
    file = tmp_path / "out" / "backbone.pt"
    asked = ("mine", "--workspace", str(trained), "--pretext", "simclr")
    code, out, _ = run(capsys, *asked, "--out", str(file), "--rgb")
    assert code == 0
    assert out.split() == [str(file), str(file.with_suffix(".md"))]
    weights = torch.load(file, weights_only=True)
    network = torchvision().models.resnet50()
    result = network.load_state_dict(weights, strict=False)
    assert result.unexpected_keys == []
    assert set(result.missing_keys) == {"fc.weight", "fc.bias"}
    grey = torch.rand(2, 1, 64, 64)
    ours = ResNet50(dilated=False).build(1)
    run(capsys, *asked, "--out", str(tmp_path / "grey.pt"))
    ours.load_state_dict(torch.load(tmp_path / "grey.pt", weights_only=True))
    layers = torch.nn.Sequential(*list(network.children())[:-2])
    with torch.no_grad():
        torch.testing.assert_close(layers.eval()(grey.repeat(1, 3, 1, 1)), ours.eval()(grey), atol=1e-3, rtol=1e-3)
    card = file.with_suffix(".md").read_text()
    assert "pretext-simclr-abc" in card
    assert "| loss | 1.25 |" in card
    assert '"seed": 3' in card


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("mine",), "several pretrainings. Fix: name one with --pretext"),
        (("mine", "--pretext", "moco"), "no pretraining 'moco'"),
        (("other",), "no study 'other'"),
    ],
)
def test_missing_weights_are_refused_with_one_message(capsys, trained, tmp_path, arguments, text):
    code, _, err = run(capsys, *arguments, "--workspace", str(trained), "--out", str(tmp_path / "x.pt"))
    assert code == 2
    assert text in " ".join(err.split())
    assert not (tmp_path / "x.pt").exists()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("x.pth", "x.pth: unknown suffix (found .pth, expected .pt or .safetensors)"),
        ("x", "x: unknown suffix (found none, expected .pt or .safetensors)"),
        ("old.pt", "old.pt: exists already. Fix: choose another --out, or remove it"),
        ("carded.pt", "carded.md: exists already. Fix: choose another --out, or remove it"),
    ],
)
def test_a_file_of_another_suffix_and_an_existing_one_are_refused(capsys, trained, tmp_path, name, text):
    before = {tmp_path / "old.pt": "old", tmp_path / "carded.md": "card"}
    for path, content in before.items():
        path.write_text(content)
    arguments = ("mine", "--pretext", "simclr", "--workspace", str(trained), "--out", str(tmp_path / name))
    code, _, err = run(capsys, *arguments)
    assert (code, text in " ".join(err.split())) == (2, True), err
    assert {path: path.read_text() for path in tmp_path.iterdir()} == before


def test_timm_and_smp_load_the_backbone_with_equal_features(capsys, trained, tmp_path):
    torchvision()  # they import it
    import segmentation_models_pytorch as smp
    import timm

    file = tmp_path / "backbone.safetensors"
    run(capsys, "mine", "--workspace", str(trained), "--pretext", "byol", "--out", str(file))
    weights, images = load_file(file), torch.rand(2, 1, 64, 64)
    for dilated, stride in ((True, 8), (False, 32)):
        ours = ResNet50(dilated=dilated).build(1).eval()
        ours.load_state_dict(weights)
        theirs = timm.create_model("resnet50", features_only=True, in_chans=1, output_stride=stride).eval()
        theirs.load_state_dict(weights)
        with torch.no_grad():
            for found, expected in zip(theirs(images)[1:], ours.features(images), strict=True):
                torch.testing.assert_close(found, expected)
    encoder = smp.encoders.get_encoder("resnet50", in_channels=1, weights=None).eval()
    encoder.load_state_dict(dict(weights))
    with torch.no_grad():
        torch.testing.assert_close(encoder(images)[-1], ours.features(images)[-1])


def test_the_backbone_of_the_best_cell_is_exported(capsys, tmp_path):
    write_trained(tmp_path / "ws", replicates=1)
    file = tmp_path / "backbone.pt"
    code, _, err = run(capsys, "fake", "--workspace", str(tmp_path / "ws"), "--out", str(file))
    assert code == 0
    assert "pretext-simclr-ab: the pretraining of the best cell, method=simclr" in err
    assert list(torch.load(file, weights_only=True)) == ["x"]
    write_trained(tmp_path / "other", replicates=1, best="random")
    code, _, err = run(capsys, "fake", "--workspace", str(tmp_path / "other"), "--out", str(tmp_path / "new.pt"))
    assert code == 2
    assert "the best cell, method=random, starts from no pretraining. Fix: name one with --pretext" in err


def test_the_only_pretraining_is_exported_with_a_line_where_the_best_cell_starts_from_none(capsys, tmp_path):
    folder = write_trained(tmp_path / "ws", replicates=1, best="random")
    ledger = Ledger(folder.ledger, lambda: 0.0)
    asked = ("fake", "--workspace", str(tmp_path / "ws"), "--out")
    done = Outcome("completed", {}, 1, 1.0)
    for job, code in (("pretext-simclr-ab", 0), ("pretext-byol-cd", 2)):
        ledger.append(JobFinished(job, "pretext", None, 0, {}, "ab" * 32, done))
        found, _, err = run(capsys, *asked, str(tmp_path / f"{job}.pt"))
        assert found == code, err
        if code == 0:
            assert f"{job}: the only finished pretraining; the best cell, method=random, starts from none" in err
        else:
            assert "Fix: name one with --pretext (found pretext-simclr-ab, pretext-byol-cd)" in err
    ledger.close()


def test_a_model_is_exported_with_the_lines_of_its_checks(capsys, tmp_path):
    write_trained(tmp_path / "ws", replicates=2)
    folder = tmp_path / "model"
    asked = ["export", "model", "fake", "--workspace", str(tmp_path / "ws"), "--out", str(folder), "--no-onnx"]
    assert guarded(lambda: app([*asked, "--replicate", "1"], standalone_mode=False)) == 0
    first, study, program, last = capsys.readouterr().out.splitlines()
    assert first == "cell method=simclr, 1 networks"
    assert study.startswith("study: 0 of ")
    assert program.startswith("models/model.pt2: ")
    assert last == str(folder)
    assert not (folder / "models" / "model.onnx").exists()
    about = json.loads((folder / "preprocessing.json").read_text())
    assert [network["replicate"] for network in about["networks"]] == [1]
    for change, text in (
        (["--cell", "method=simclf"], "no cell 'method=simclf'; did you mean 'method=simclr'"),
        (["--replicate", "7"], "no replicate 7 (found 0, 1)"),
        ([], f"{folder}: exists already"),
    ):
        assert guarded(lambda change=change: app([*asked, *change], standalone_mode=False)) == 2
        assert text in capsys.readouterr().err
    (Workspace(tmp_path / "ws").artifacts / b"simclr-replicate-1".hex().ljust(64, "0") / "artifact.json").unlink()
    assert guarded(lambda: app(asked, standalone_mode=False)) == 2
    assert "lacks the weights of replicates 1). Fix: study repair fake" in capsys.readouterr().err


def test_the_trials_of_a_search_become_an_optuna_storage(capsys, tmp_path):
    folder = Workspace(tmp_path / "runs").study("tiny")
    folder.root.mkdir(parents=True)
    bench = Bench(folder.root, "factors.pretext.method=[random]")
    bench.drain()
    factors = {factor.name: list(factor.levels) for factor in bench.study.spec.factors}
    write_plan(folder.plan, {"name": "tiny", "spec": bench.study.document(), "factors": factors})
    file = tmp_path / "are there 100%?x=1.db"
    asked = ["export", "optuna", "tiny", "--workspace", str(tmp_path / "runs"), "--out", str(file)]
    assert guarded(lambda: app(asked, standalone_mode=False)) == 0
    *_, program, url = shlex.split(capsys.readouterr().out)
    assert program == "optuna-dashboard"
    assert len(optuna.get_all_study_names(url)) == 2
    assert [path.name for path in tmp_path.glob("*.db")] == [file.name]
    assert file.stat().st_size > 0
    assert guarded(lambda: app(asked, standalone_mode=False)) == 2
    assert "the file exists" in capsys.readouterr().err
