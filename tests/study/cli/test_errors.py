"""Tests of mistakes in the input: one message, exit code 2, and nothing trained."""

import errno
import json
import os
import subprocess
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from study.cli.app import app
from study.cli.main import guarded
from study.config.definition import load_study
from study.storage.plan_file import write_plan
from study.storage.workspace import Workspace
from trainables.phantom import PhantomSettings, write_echonet

TINY = str(Path(__file__).parent.parent / "tiny.yaml")


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    code = guarded(lambda: app(list(arguments), standalone_mode=False))
    return code, capsys.readouterr().err


def refused(capsys: pytest.CaptureFixture[str], root: Path, *arguments: str) -> str:
    code, message = run(capsys, "run", TINY, "--workspace", str(root), *arguments)
    assert code == 2, message
    assert sum(line.startswith("error:") for line in message.splitlines()) == 1
    assert "Traceback" not in message
    jobs = Workspace(root).study("tiny").root / "jobs"
    assert not jobs.exists()
    return message


def test_a_misspelt_key(capsys, tmp_path):
    message = refused(capsys, tmp_path, "--set", "downstream.fit.epoch=3")
    assert "downstream.fit.epoch: unknown key" in message
    assert "did you mean 'epochs'?" in message
    assert "--set downstream.fit.epoch" in message


def test_several_mistakes_are_reported_at_once(capsys, tmp_path):
    message = refused(capsys, tmp_path, "--set", "pretext.fit.epochs=many", "--set", "network=deeplab")
    assert "pretext.fit.epochs" in message
    assert "did you mean 'deeplabv3'?" in message


def test_a_missing_dataset(capsys, tmp_path):
    message = refused(capsys, tmp_path, "--data", "echonet=/nowhere/EchoNet-Dynamic", "--name", "tiny")
    assert "/nowhere/EchoNet-Dynamic" in message


def test_a_folder_that_is_no_such_dataset(capsys, tmp_path):
    message = refused(capsys, tmp_path, "--data", f"camus={tmp_path}", "--name", "tiny")
    assert "database_nifti" in message


def test_an_unreadable_video(capsys, tmp_path):
    data = tmp_path / "EchoNet-Dynamic"
    write_echonet(data, PhantomSettings(subjects=6, frames=8, size=64, fractions=(0.5, 0.25, 0.25)))
    video = sorted((data / "Videos").iterdir())[2]
    video.write_bytes(video.read_bytes()[:100])
    message = refused(capsys, tmp_path, "--data", f"echonet={data}", "--name", "tiny")
    assert video.name in message


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (".cpus=4096", "4096 cpus"),
        (".gpus=64", "gpus is 64, expected at most 1"),
        ("={workers: 2, gpus: 1}", "need 2 gpus"),
        (".workers=5000", "5000 worker"),
    ],
)
def test_impossible_resources_are_refused(capsys, tmp_path, asked, told):
    assert told in refused(capsys, tmp_path, "--set", f"resources.downstream{asked}")


def test_imagenet_weights_that_are_not_there(capsys, tmp_path):
    sets = ("--set", "factors={pretext.method: [imagenet]}", "--set", "network.backbone={name: resnet18}")
    assert "no file is given" in refused(capsys, tmp_path, *sets)
    named = "factors={pretext.method: [{name: imagenet, weights: /nowhere/resnet18.pth}]}"
    assert "/nowhere/resnet18.pth" in refused(capsys, tmp_path, "--set", named, *sets[2:])


def test_an_unknown_study_and_an_unknown_run(capsys, tmp_path):
    code, message = run(capsys, "validate", "quickstrat")
    assert (code, "did you mean 'quickstart'?" in message) == (2, True)
    code, message = run(capsys, "status", "nothing", "--workspace", str(tmp_path))
    assert (code, "no study 'nothing'" in message) == (2, True)


@pytest.mark.parametrize("command", ["status tiny", "retry tiny", "export backbone tiny --out x.pt"])
def test_a_ledger_of_an_older_version_has_a_fix_for_every_command(capsys, tmp_path, command):
    folder = Workspace(tmp_path).study("tiny")
    folder.root.mkdir(parents=True)
    folder.plan.write_text('{"spec": {}}')
    body = json.dumps({"event": "asked", "cell": "all", "index": 0}).encode()
    folder.ledger.write_bytes(f"{zlib.crc32(body):08x} ".encode() + body + b"\n")
    code, message = run(capsys, *command.split(), "--workspace", str(tmp_path))
    assert (code, message) == (
        2,
        f"error: {folder.ledger}: written by an older version of study (found ledger format 1, expected 2). "
        "Fix: use that version, or run the study again under another name: study run STUDY --name NAME\n",
    )


def test_an_unknown_option(capsys, tmp_path):
    code, message = run(capsys, "run", TINY, "--workspaces", str(tmp_path))
    assert code == 2
    assert "--workspaces" in message


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A workspace with a begun study that nobody may write."""
    root = tmp_path / "workspace"
    folder = Workspace(root).study("tiny")
    write_plan(folder.plan, {"spec": load_study(TINY).document()})
    words = ["mount", "--bind", str(root), str(root)]
    if subprocess.run(words, capture_output=True, check=False).returncode:
        pytest.skip("no right to mount a read-only folder")
    subprocess.run(["mount", "-o", "remount,ro,bind", str(root)], check=True)
    yield root
    subprocess.run(["umount", "-l", str(root)], check=True)


@pytest.mark.parametrize(
    "command", [f"run {TINY}", f"run {TINY} --name other", f"rehearse {TINY}", f"data prepare {TINY}", "retry tiny",
                "repair tiny", "extend tiny --replicates 9"]
)  # fmt: skip
def test_a_read_only_workspace(capsys, read_only, command):
    code, message = run(capsys, *command.split(), "--workspace", str(read_only))
    assert code == 2
    (line,) = [line for line in message.splitlines() if line.startswith("error:")]
    assert line.startswith(f"error: {read_only}")
    assert "Read-only file system" in line
    assert "Fix: " in line


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EROFS])
def test_a_file_that_may_not_be_used_is_named(capsys, number):
    def use() -> int:
        raise OSError(number, os.strerror(number), "/somewhere/studies/mine/driver.lock")

    assert guarded(use) == 2
    message = capsys.readouterr().err
    assert f"error: /somewhere/studies/mine: {os.strerror(number)} (at driver.lock)" in message


def test_a_plan_is_printed_from_a_read_only_workspace(capsys, read_only):
    assert run(capsys, "plan", TINY, "--workspace", str(read_only))[0] == 0
