"""Tests of reading a study's jobs from MLflow."""

from types import SimpleNamespace
from unittest.mock import create_autospec

import pytest
from mlflow.tracking import MlflowClient

from study.tracking import reader
from trainables.common.errors import UserError


class Page(list):
    """One page of a search; `token` names the next one."""

    def __init__(self, runs, token=None):
        super().__init__(runs)
        self.token = token


def run(job, kind, status, params=None, metrics=None, **tags):
    tags = {"study.job": job, "kind": kind, "index": "0", **tags}
    data = SimpleNamespace(tags=tags, params=params or {}, metrics=metrics or {})
    return SimpleNamespace(data=data, info=SimpleNamespace(status=status))


@pytest.fixture
def client(monkeypatch):
    made = create_autospec(MlflowClient, instance=True)
    monkeypatch.setattr(reader, "MlflowClient", create_autospec(MlflowClient, return_value=made))
    made.get_experiment_by_name.return_value = SimpleNamespace(experiment_id="1")
    return made


def test_each_job_is_a_row_without_the_study_and_superseded_runs(client):
    params = {"method": "simclr", "lr": "0.1", "optimizer": "adam"}
    metrics = {"best/dice": 0.8, "test/dice": 0.7, "loss": 1.0}
    client.search_runs.side_effect = [
        Page([run("study", "study", "RUNNING"), run("b", "trial", "RUNNING")], token="next"),
        Page(
            [
                run("a", "replicate", "FINISHED", params, metrics, cell="simclr", method="simclr"),
                run("c", "trial", "KILLED"),
                run("c", "trial", "FINISHED", superseded="true"),
            ]
        ),
    ]
    jobs = reader.jobs_from_mlflow("uri", "mine")
    assert list(zip(jobs["id"], jobs["status"], strict=True)) == [
        ("a", "completed"),
        ("b", "running"),
        ("c", "stopped"),
    ]
    first = jobs.iloc[0]
    assert (first["method"], first["param/lr"], first["param/optimizer"]) == ("simclr", 0.1, "adam")
    assert (first["val/dice"], first["test/dice"]) == (0.8, 0.7)
    assert not {"param/method", "loss"} & set(jobs.columns)


def test_a_study_without_jobs_is_an_empty_table(client):
    client.search_runs.return_value = Page([])
    assert reader.jobs_from_mlflow("uri", "mine").empty


def test_an_unknown_study_is_an_error_with_the_nearest_name(client):
    client.get_experiment_by_name.return_value = None
    client.search_experiments.return_value = [SimpleNamespace(name="mine")]
    with pytest.raises(UserError, match="no study 'mien' at uri; did you mean 'mine'"):
        reader.jobs_from_mlflow("uri", "mien")
