"""Whole studies through the command line, as a user runs them."""

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import cv2
import pandas as pd
import pytest
import torch
from mlflow.tracking import MlflowClient
from notebook_runs import pictures, run_notebook
from whole_studies import TINY, check_complete, command, final_metrics, finished, study

from analysis.io.load import load
from study.storage.workspace import Workspace
from study.tracking.reader import jobs_from_mlflow
from study.tracking.views import view_path
from trainables.common.errors import UserError

pytestmark = pytest.mark.ray


def test_a_study_runs_as_planned(uninterrupted):
    check_complete(uninterrupted)
    folder = Workspace(uninterrupted).study("tiny")
    table = pd.read_csv(folder.job("simclr-1.0-replicate-0").test)
    distances = {f"{name}/lv" for name in ("hausdorff", "hausdorff95", "mean_absolute", "mean_contour")}
    assert set(table.columns) == {"subject", "row", "phase", "dice", "dice/lv"} | distances
    assert table.subject.nunique() == 4
    assert set(table.phase) == {"ED", "ES"}
    assert table.dice.between(0, 1).all()


def test_one_pretraining_serves_all_cells_that_need_it(uninterrupted):
    events = finished(Workspace(uninterrupted).study("tiny"))
    assert sum(event.kind == "pretext" for event in events) == 1
    planned = json.loads(study(uninterrupted, "status", "tiny", "--json").stdout)
    assert planned["jobs"]["pretext"] == {"planned": 1, "reused": 0, "completed": 1, "stopped": 0, "failed": 0}


def test_a_second_run_trains_nothing(uninterrupted):
    before = Workspace(uninterrupted).study("tiny").ledger.read_bytes()
    started = time.monotonic()
    again = study(uninterrupted, "run", str(TINY))
    assert again.returncode == 0, again.stderr
    assert time.monotonic() - started < 30
    assert Workspace(uninterrupted).study("tiny").ledger.read_bytes() == before


def test_records_sent_to_mlflow_again_are_there_once(uninterrupted, tmp_path):
    shutil.copytree(uninterrupted, tmp_path, dirs_exist_ok=True)
    (Workspace(tmp_path).study("tiny").root / "tracking.jsonl").unlink()  # as if killed before it was noted
    again = study(tmp_path, "run", str(TINY))
    assert again.returncode == 0, again.stderr
    check_complete(tmp_path)


def test_mlflow_has_the_jobs_of_the_folder(uninterrupted):
    workspace = Workspace(uninterrupted)
    folder = workspace.study("tiny")
    here, there = load(folder).jobs, jobs_from_mlflow(workspace.tracking_uri, "tiny")
    columns = ["id", "kind", "cell", "method", "label_fraction", "index", "status"]
    columns += ["param/downstream.fit.optimizer.lr", "val/dice", "test/dice"]
    here = here[here["kind"].isin(("trial", "replicate"))].sort_values("id", ignore_index=True)
    there = there[there["kind"].isin(("trial", "replicate"))].reset_index(drop=True)
    pd.testing.assert_frame_equal(there[columns], here[columns], check_dtype=False)
    with pytest.raises(UserError, match=r"no study 'tniy' at .*did you mean 'tiny'"):
        jobs_from_mlflow(workspace.tracking_uri, "tniy")
    book = run_notebook("hyperparameter_landscape", folder, MLFLOW_TRACKING_URI=workspace.tracking_uri)
    assert pictures(book) >= 1


def test_mlflow_shows_the_replicates_with_their_factors_and_the_best_first(uninterrupted):
    workspace = Workspace(uninterrupted)
    client = MlflowClient(workspace.tracking_uri)
    experiment = client.get_experiment_by_name("tiny")
    path = view_path(workspace, "tiny")
    assert path == f"/#/experiments/{experiment.experiment_id}/runs?viewStateShareKey=replicates"
    view = json.loads(experiment.tags["mlflow.sharedViewState.replicates"])
    found = client.search_runs([experiment.experiment_id], view["searchFilter"], order_by=["metrics.`test/dice` DESC"])
    assert len(found) == 8
    known = {f"params.`{name}`" for name in found[0].data.params} | {f"metrics.`{n}`" for n in found[0].data.metrics}
    assert set(view["selectedColumns"]) <= known
    assert view_path(workspace, "another") is None


def test_a_run_in_mlflow_has_its_data_its_model_its_picture_and_what_it_started_from(uninterrupted):
    client = MlflowClient(Workspace(uninterrupted).tracking_uri)
    (experiment,) = client.search_experiments(filter_string="name = 'tiny'")
    runs = {run.data.tags["study.job"]: run for run in client.search_runs([experiment.experiment_id])}
    replicate, pretext = runs["simclr-1.0-replicate-0"], next(run for job, run in runs.items() if "pretext" in job)
    tags = replicate.data.tags
    assert (tags["study"], tags["kind"], tags["stage"], tags["index"]) == ("tiny", "replicate", "downstream", "0")
    assert (tags["method"], tags["label_fraction"]) == ("simclr", "1.0")
    assert tags["pretext_run_id"] == pretext.info.run_id
    assert tags["mlflow.parentRunId"] == runs["study"].info.run_id
    assert set(replicate.data.params) == {"method", "label_fraction", "downstream.fit.optimizer.lr"}
    (data,) = replicate.inputs.dataset_inputs
    job = Workspace(uninterrupted).study("tiny").job("simclr-1.0-replicate-0")
    assert data.dataset.digest == json.loads(job.config.read_text())["config"]["data"][:36]
    assert "system/system_memory_usage_megabytes" in replicate.data.metrics
    made = Path(client.download_artifacts(replicate.info.run_id, ""))
    weights = torch.load(made / "model" / "weights.pt", weights_only=True)
    assert any(key.startswith("backbone.") for key in weights)
    assert "Not a medical device" in (made / "model" / "card.md").read_text()
    assert cv2.imread(str(made / "overlays.png")).shape[1] > 400
    assert json.loads((made / "config.json").read_text())["test"] is True


def test_the_report_is_written(uninterrupted):
    made = study(uninterrupted, "report", "tiny")
    assert made.returncode == 0, made.stderr
    assert "mlflow ui --backend-store-uri" in made.stdout
    report = Workspace(uninterrupted).study("tiny").report
    there = {path.name for path in report.iterdir()}
    assert {"report.html", "table.md", "table.tex", "dice_vs_labels.png", "overlays.png", "embedding_map.png"} <= there
    turned = study(uninterrupted, "report", "tiny", "--columns", "method", "--rows", "label_fraction")
    assert turned.returncode == 0, turned.stderr
    assert "method random" in (report.with_name("report-rows-label_fraction-columns-method") / "table.md").read_text()
    assert "method random" not in (report / "table.md").read_text()
    wrong = study(uninterrupted, "report", "tiny", "--columns", "methd")
    assert wrong.returncode == 2
    assert "did you mean 'method'?" in wrong.stderr


def test_a_changed_study_under_a_used_name_is_refused_with_the_difference(uninterrupted):
    changed = study(uninterrupted, "run", str(TINY), "--set", "search.trials=2")
    assert changed.returncode == 2
    assert "search.trials: 3 -> 2" in changed.stderr
    assert "Traceback" not in changed.stderr


def test_a_study_whose_driver_is_killed_three_times_ends_like_one_that_was_not(uninterrupted, tmp_path):
    folder = Workspace(tmp_path).study("tiny")
    for finished_jobs in (0, 4, 15):
        driver = subprocess.Popen(
            command(tmp_path, "run", str(TINY)),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        while len(finished(folder)) < finished_jobs or not folder.ledger.exists():
            assert driver.poll() is None, "the driver ended by itself"
            time.sleep(0.05)
        os.kill(driver.pid, signal.SIGKILL)
        driver.wait()
    resumed = study(tmp_path, "run", str(TINY))
    assert resumed.returncode == 0, resumed.stderr
    check_complete(tmp_path)
    assert final_metrics(folder) == final_metrics(Workspace(uninterrupted).study("tiny"))
