"""`study evaluate` on networks with random weights; `test_predict.py` has its scores."""

from pathlib import Path

import pytest

from study.cli.app import app
from study.cli.main import guarded
from study.storage.workspace import StudyFolder
from tests.fake_trained import write_trained
from trainables.phantom import PhantomSettings, write_echonet


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> StudyFolder:
    return write_trained(tmp_path_factory.mktemp("ws"), replicates=2)


@pytest.fixture(scope="module")
def other(tmp_path_factory) -> Path:
    """Return a dataset that the study has not seen."""
    root = tmp_path_factory.mktemp("other")
    write_echonet(root, PhantomSettings(subjects=3, frames=8, size=48, seed=9))
    return root


def evaluate(capsys, folder: StudyFolder, *arguments: object) -> tuple[int, str]:
    """Return the exit code and all that is printed, its white space made single spaces."""
    words = ["evaluate", "fake", *map(str, arguments), "--workspace", str(folder.workspace.root)]
    code = guarded(lambda: app(words, standalone_mode=False)) or 0
    captured = capsys.readouterr()
    return code, " ".join((captured.out + captured.err).split())


def test_a_second_dataset_is_refused(folder, other, tmp_path, capsys):
    data = [f"echonet={other}", f"echonet={tmp_path}"]
    code, text = evaluate(capsys, folder, "--data", data[0], "--data", data[1], "--out", tmp_path / "out")
    assert code == 2
    assert f"--data: found {data[0]}, {data[1]}, expected one. Fix: call `study evaluate` for each dataset" in text
    assert not (tmp_path / "out").exists()
