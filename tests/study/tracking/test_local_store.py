"""The SQLite store of a workspace, as MLflow writes it."""

import os
import shutil

import pytest

from study.storage.workspace import Workspace
from study.tracking.local_store import move_files, store_holds
from study.tracking.mlflow_runs import MlflowRuns, mlflow_client


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Return a workspace with the store of a study whose run has a file, and the run's identifier."""
    workspace = Workspace(tmp_path_factory.mktemp("work") / "first")
    workspace.root.mkdir()
    runs = MlflowRuns(workspace.tracking_uri, "mine", workspace.root / "mlflow" / "mine")
    runs.connect({}, {})
    runs.log_settings(runs.study_run, {}, {"a": 1})
    return workspace, runs.study_run


def test_a_store_is_asked_for_a_run_and_a_server_is_not(written, tmp_path):
    workspace, run = written
    assert store_holds(workspace.tracking_uri, run)
    assert not store_holds(workspace.tracking_uri, "0" * 32)
    assert not store_holds(Workspace(tmp_path).tracking_uri, run)
    (tmp_path / "mlflow.db").touch()
    assert not store_holds(Workspace(tmp_path).tracking_uri, run)
    assert store_holds("https://elsewhere:5000", run)


@pytest.mark.parametrize("name", ["what?", "50%25 off #1", "100%/runs"])
def test_the_store_lies_in_a_workspace_with_any_name(tmp_path, name):
    workspace = Workspace(tmp_path / name)
    workspace.root.mkdir(parents=True)
    runs = MlflowRuns(workspace.tracking_uri, "mine", workspace.root / "mlflow" / "mine")
    runs.connect({}, {})
    assert (workspace.root / "mlflow.db").exists()
    assert store_holds(workspace.tracking_uri, runs.study_run)
    assert list(tmp_path.iterdir()) == [tmp_path / name.partition("/")[0]]


def test_the_files_of_a_moved_workspace_are_found_again(written, tmp_path):
    from mlflow.tracking import MlflowClient

    workspace, run = written
    moved = Workspace(tmp_path / "moved")
    shutil.copytree(workspace.root, moved.root)
    kept = MlflowClient(workspace.tracking_uri).get_run(run).info.artifact_uri
    move_files(moved.tracking_uri, moved.root / "mlflow")
    client = MlflowClient(moved.tracking_uri)
    assert client.get_run(run).info.artifact_uri == f"{(moved.root / 'mlflow' / 'mine').as_uri()}/{run}/artifacts"
    assert [file.path for file in client.list_artifacts(run)] == ["config.json"]
    assert client.get_experiment_by_name("mine").artifact_location == (moved.root / "mlflow" / "mine").as_uri()
    assert MlflowClient(workspace.tracking_uri).get_run(run).info.artifact_uri == kept
    move_files("https://elsewhere:5000", moved.root / "mlflow")
    move_files(Workspace(tmp_path / "none").tracking_uri, tmp_path)


@pytest.mark.parametrize(("given", "kept"), [(None, "true"), ("false", "false")])
def test_telemetry_is_off_unless_the_user_says_otherwise(monkeypatch, tmp_path, given, kept):
    monkeypatch.delenv("MLFLOW_DISABLE_TELEMETRY", raising=False)
    if given is not None:
        monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", given)
    mlflow_client(Workspace(tmp_path).tracking_uri)
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == kept
