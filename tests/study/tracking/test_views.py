"""Tests of the views that MLflow's web page shows."""

import contextlib
import json
import sqlite3

from fake_mlflow import new_folder

from study.tracking.views import view_path, view_tags


def test_each_view_has_the_varied_settings_as_columns_and_the_best_first(tmp_path):
    _, folder = new_folder(tmp_path)
    tags = view_tags(folder)
    replicates = json.loads(tags["mlflow.sharedViewState.replicates"])
    assert replicates["searchFilter"] == "tags.kind = 'replicate'"
    assert (replicates["orderByKey"], replicates["orderByAsc"]) == ("metrics.`test/dice`", False)
    assert replicates["selectedColumns"] == [
        "metrics.`test/dice`",
        "metrics.`best/dice`",
        "params.`method`",
        "params.`lr`",
    ]
    trials = json.loads(tags["mlflow.sharedViewState.trials"])
    assert trials["selectedColumns"] == ["metrics.`best/dice`", "params.`method`", "params.`lr`"]


def test_a_study_without_search_shows_its_factors(tmp_path):
    _, folder = new_folder(tmp_path)
    folder.plan.write_text(json.dumps({"factors": {"method": []}, "spec": {}}))
    assert json.loads(view_tags(folder)["mlflow.sharedViewState.trials"])["selectedColumns"][1:] == ["params.`method`"]


def test_the_path_of_a_view_needs_a_store_with_the_study(tmp_path):
    workspace, _ = new_folder(tmp_path)
    assert view_path(workspace, "mine") is None
    with contextlib.closing(sqlite3.connect(tmp_path / "mlflow.db")) as db, db:
        assert view_path(workspace, "mine") is None  # no schema yet
        db.execute("create table experiments (experiment_id, name)")
        db.execute("insert into experiments values (7, 'mine')")
    assert view_path(workspace, "mine") == "/#/experiments/7/runs?viewStateShareKey=replicates"
    assert view_path(workspace, "another") is None
