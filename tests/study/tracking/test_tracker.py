"""Tests of the tracker with an MLflow client in memory; `sync` is called by hand, the thread never polls."""

import inspect
import logging
import re
from dataclasses import replace

import pytest
import torch
from fake_mlflow import FakeClient, ended, new_folder, new_job, started, write_epochs

from study.storage.artifacts import ArtifactStore
from study.tracking import tracker as tracker_module
from study.tracking.record import RecordFile
from study.tracking.tracker import Tracker

WARNING = "server is away"


@pytest.fixture
def client():
    return FakeClient()


@pytest.fixture
def launch(tmp_path, client, monkeypatch):
    """Return a function that makes a tracker of the same study, as a new launch does."""
    workspace, folder = new_folder(tmp_path)
    monkeypatch.setattr(tracker_module, "store_holds", lambda uri, run: run in client.runs)

    def make(draw=None, uri=None):
        return Tracker(workspace, folder, uri, "Title", draw, lambda uri: client, poll=3600)

    make.folder, make.workspace = folder, workspace
    return make


def test_the_fake_has_the_signatures_of_the_client():
    from mlflow.tracking import MlflowClient

    names = [name for name, member in vars(FakeClient).items() if inspect.isfunction(member) and name[0] != "_"]
    names.remove("run_of")
    assert len(names) > 10
    for name in names:
        real = inspect.signature(getattr(MlflowClient, name)).parameters
        assert set(inspect.signature(getattr(FakeClient, name)).parameters) <= set(real), name


def test_the_experiment_exists_before_any_job(launch, client):
    with started(launch()):
        assert client.run_of("study").status == "RUNNING"
        assert client.experiments["mine"]["location"].startswith("file:")
        assert "mlflow.sharedViewState.replicates" in client.experiments["mine"]
    assert client.run_of("study").status == "FINISHED"
    assert client.run_of("study").tags["title"] == "Title"


def test_a_job_has_its_settings_metrics_and_summary(launch, client):
    job = new_job()
    with started(launch()) as tracker:
        tracker.job_started(job)
        write_epochs(launch.folder, job, 1, 2)
        tracker.sync()
        run = client.run_of(job.id)
        assert run.status == "RUNNING"
        assert run.params == {"method": "simclr", "lr": "0.1"}
        assert (run.tags["kind"], run.tags["cell"], run.tags["method"]) == ("trial", "simclr", "simclr")
        assert run.datasets[0].dataset.name == "echonet"
        assert {row[3] for row in run.metrics} == {1, 2}
        write_epochs(launch.folder, job, 3, 3)
        tracker.job_finished(job, ended(job))
    assert run.status == "FINISHED"
    assert {row[0] for row in run.metrics} == {"loss", "best/dice", "seconds"}
    assert ("loss", 1 / 3, 103000, 3) in run.metrics
    assert run.tags["host"] == "node7"
    assert run.files == ["config.json"]
    assert not launch().behind({job.id: ended(job)})


@pytest.mark.parametrize(("status", "mlflow"), [("completed", "FINISHED"), ("stopped", "KILLED"), ("failed", "FAILED")])
def test_the_status_and_reason_of_an_end(launch, client, status, mlflow):
    job = new_job()
    with started(launch()) as tracker:
        tracker.job_finished(job, ended(job, status, reason="r" * 5000))
    run = client.run_of(job.id)
    assert run.status == mlflow
    assert len(run.tags["reason"]) == 4000
    assert ("censored" in run.tags) == (status == "stopped")


def test_a_corrected_end_replaces_one_that_was_sent(launch, client):
    job = new_job()
    write_epochs(launch.folder, job, 1, 3)
    with started(launch()) as tracker:
        tracker.job_finished(job, ended(job))
    before = {name: value for name, value, _, _ in client.run_of(job.id).metrics}
    with started(launch()) as tracker:
        end = ended(job, "stopped", reason="stopped at epoch 2")
        better = {name: value / 2 for name, value in end.outcome.metrics.items()}
        tracker.job_corrected(
            job, replace(end, time=end.time + 1, outcome=replace(end.outcome, metrics=better, epochs=2))
        )
    run = client.run_of(job.id)
    assert (run.status, run.tags["reason"]) == ("KILLED", "stopped at epoch 2")
    by_time = sorted(run.metrics, key=lambda metric: (metric[3], metric[2]))  # MLflow's last: by step, then by time
    last = {name: value for name, value, _, _ in by_time}
    assert last["best/dice"] == before["best/dice"] / 2


def test_a_replicate_has_its_test_table_model_and_picture(launch, client):
    job = new_job("simclr-replicate-0", kind="replicate")
    about = {"stage": "downstream", "config": {"data": "f00", "seed": 3}, "metrics": {}}
    ArtifactStore(launch.workspace.artifacts).put(job.digest, about, {"a": torch.zeros(2)})
    launch.folder.job(job.id).root.mkdir(parents=True)
    launch.folder.job(job.id).test.write_text("dice\n")
    with started(launch(lambda folder, frames, picture: bool(picture.write_bytes(b"png")))) as tracker:
        tracker.job_finished(job, ended(job))
    files = client.run_of(job.id).files
    assert sorted(files) == ["config.json", "model/card.md", "model/weights.pt", "overlays.png", "test.csv"]


def test_a_job_is_linked_to_the_run_it_starts_from(launch, client):
    pretext = new_job("pretext-simclr-aaaa", "a" * 64, kind="pretext", stage="pretext", cell=None)
    with started(launch()) as tracker:
        tracker.job_finished(pretext, ended(pretext))
    trial = new_job(inputs={"pretext": pretext.digest, "labels": "b" * 64})
    with started(launch()) as tracker:  # a later launch knows it from the file
        tracker.job_started(trial)
    tags = client.run_of(trial.id).tags
    (source,) = (run_id for run_id, run in client.runs.items() if run.tags["study.job"] == pretext.id)
    assert (tags["pretext_digest"], tags["pretext_run_id"]) == (pretext.digest, source)
    assert tags["labels_digest"] == "b" * 64
    assert "labels_run_id" not in tags


def test_a_dead_server_warns_once_and_is_sent_everything_later(launch, client, caplog):
    job = new_job()
    client.down = True
    with caplog.at_level(logging.WARNING), started(launch()) as tracker:
        tracker.job_started(job)
        write_epochs(launch.folder, job, 1, 3)
        tracker.sync()
        tracker.job_finished(job, ended(job))
        tracker.sync()
        assert [WARNING in record.message for record in caplog.records] == [True]
        client.down = False
    assert client.run_of(job.id).status == "FINISHED"
    assert len([row for row in client.run_of(job.id).metrics if row[0] == "loss"]) == 3
    assert len(caplog.records) == 1


def test_a_server_that_stays_dead_is_reported_at_the_end_and_the_next_launch_sends_the_rest(launch, client, caplog):
    job = new_job()
    client.down = True
    with caplog.at_level(logging.WARNING), started(launch()) as tracker:
        tracker.job_finished(job, ended(job))
    assert "not everything was sent" in caplog.records[-1].message
    client.down = False
    again = launch()
    assert again.behind({job.id: ended(job)})
    with started(again):
        again.job_finished(job, ended(job))
    assert client.run_of(job.id).status == "FINISHED"


@pytest.mark.parametrize(
    "method", ["create_run", "update_run", "log_dict", "log_inputs", "log_batch", "set_terminated"]
)
def test_a_call_that_fails_is_made_again_and_nothing_is_there_twice(launch, client, method):
    job = new_job()
    write_epochs(launch.folder, job, 1, 3)
    with started(launch()) as tracker:
        client.fail_at = method
        tracker.job_finished(job, ended(job))
        tracker.sync()
        assert client.calls[method] > 0
        client.fail_at = ""
    assert len(client.runs) == 2
    assert client.run_of(job.id).status == "FINISHED"
    assert len(client.run_of(job.id).metrics) == 3 + 2


def test_an_error_in_one_job_does_not_keep_back_others(launch, client):
    good, bad = new_job("good"), new_job("bad", config={})
    with started(launch()) as tracker:
        tracker.job_finished(bad, ended(bad))
        tracker.job_finished(good, ended(good))
        tracker.sync()
        assert client.run_of("good").status == "FINISHED"


def test_lines_sent_twice_are_one_row(launch, client):
    job = new_job()
    write_epochs(launch.folder, job, 1, 3)
    with started(launch()) as tracker:
        tracker.job_finished(job, ended(job))
    before = set(client.run_of(job.id).metrics)
    (launch.folder.root / "tracking.jsonl").unlink()  # the driver was killed before it wrote the record
    with started(launch()) as tracker:
        tracker.job_finished(job, ended(job))
    assert client.run_of(job.id).metrics == before
    assert len(client.runs) == 2


def test_a_complete_job_is_not_sent_again(launch, client):
    job = new_job()
    with started(launch()) as tracker:
        tracker.job_finished(job, ended(job))
    sent = client.calls["log_batch"]
    with started(launch()) as tracker:
        tracker.job_finished(job, ended(job))
    assert client.calls["log_batch"] == sent


def test_an_interrupted_job_is_killed_and_reopened_by_the_next_launch(launch, client):
    job = new_job()
    write_epochs(launch.folder, job, 1, 2)
    tracker = launch()
    tracker.start()
    tracker.job_started(job)
    tracker.close("KILLED", timeout=10)
    assert (client.run_of(job.id).status, client.run_of("study").status) == ("KILLED", "KILLED")
    record = RecordFile(launch.folder).read()[job.id]
    assert (record.epoch, record.closed) == (2, False)
    with started(launch()) as tracker:
        tracker.job_started(job)
        tracker.sync()
        assert client.run_of(job.id).status == "RUNNING"
        write_epochs(launch.folder, job, 3, 3)
        tracker.job_finished(job, ended(job))
    assert client.run_of(job.id).status == "FINISHED"
    assert {row[3] for row in client.run_of(job.id).metrics if row[0] == "loss"} == {1, 2, 3}


def test_an_orphan_of_an_earlier_launch_is_killed(launch, client):
    job = new_job()
    tracker = launch()
    tracker.start()
    tracker.job_started(job)
    tracker.close("KILLED", timeout=10)
    client.run_of(job.id).status = "RUNNING"
    with started(launch()):
        pass
    assert client.run_of(job.id).status == "KILLED"


@pytest.mark.parametrize("same_launch", [True, False])
def test_a_job_with_another_configuration_supersedes_its_run(launch, client, same_launch):
    old, new = new_job(digest="a" * 64), new_job(digest="b" * 64)
    tracker = launch()
    with started(tracker):
        tracker.job_finished(old, ended(old))
        tracker.sync()
        if same_launch:
            tracker.job_finished(new, ended(new))
    if not same_launch:
        with started(launch()) as tracker:
            tracker.job_finished(new, ended(new))
    tags = sorted((run.tags["digest"][0], run.tags.get("superseded")) for run in client.runs.values() if run.params)
    assert tags == [("a", "true"), ("b", None)]
    assert client.run_of(new.id).status == "FINISHED"
    assert not launch().behind({new.id: ended(new)})


def test_the_record_is_behind_a_job_that_is_not_closed_or_has_another_digest(launch):
    job = new_job()
    tracker = launch()
    assert not tracker.behind({})
    assert tracker.behind({job.id: ended(job)})
    with started(tracker):
        tracker.job_finished(job, ended(job))
    assert not tracker.behind({job.id: ended(job)})
    assert tracker.behind({job.id: ended(job, digest="other")})


def test_a_name_that_mlflow_refuses_is_told_as_its_reason(launch, client, monkeypatch):
    job = new_job()

    def refuse(*arguments, **named):
        raise ValueError("Invalid value 'a (b)' for parameter 'key'")

    monkeypatch.setattr(client, "log_batch", refuse)
    with started(launch()) as tracker:
        tracker.job_started(job)
        tracker.sync()
    ends = {job.id: ended(job)}
    assert "Invalid value 'a (b)'" in tracker.untracked(ends)
    assert tracker.untracked({}) == ""


def test_a_lost_store_is_filled_again(launch, client):
    done, other = new_job("done"), new_job("other")
    write_epochs(launch.folder, done, 1, 3)
    with started(launch()) as tracker:
        tracker.job_finished(done, ended(done))
    sent = client.run_of("done").metrics
    client.runs.clear()
    client.experiments.clear()
    again = launch()
    assert again.behind({"done": ended(done)})
    with started(again):
        for job in (done, other):
            again.job_finished(job, ended(job))
    assert client.run_of("done").status == client.run_of("other").status == "FINISHED"
    assert client.run_of("done").metrics == sent
    assert not launch().behind({"done": ended(done)})


def test_another_server_receives_the_runs_of_earlier_launches_and_the_first_keeps_its_own(launch, client):
    job = new_job()
    with started(launch()) as tracker:
        tracker.job_finished(job, ended(job))
    first = dict(client.runs)
    client.runs, client.experiments = {}, {}  # what the other server has
    moved = launch(uri="https://me:secret@elsewhere:5000")
    assert moved.behind({job.id: ended(job)})
    with started(moved):
        moved.job_finished(job, ended(job))
    assert client.run_of(job.id).status == "FINISHED"
    assert "secret" not in (launch.folder.root / "tracking.jsonl").read_text()
    client.runs = {**client.runs, **first}
    assert not launch(uri="https://elsewhere:5000").behind({job.id: ended(job)})
    assert launch().behind({job.id: ended(job)})  # the last record is elsewhere: it finds its run again


def test_the_studys_run_has_the_mean_of_each_cell(launch, client):
    cells = {"method=simclr,labels=3": (0.7, 0.8), "method=b (y),labels=3": (0.6,)}
    ends = []
    for cell, scores in cells.items():
        for index, score in enumerate(scores):
            job = new_job(f"{cell}-{index}", kind="replicate", cell=cell, index=index)
            end = ended(job)
            ends.append(replace(end, outcome=replace(end.outcome, metrics={"test/dice": score})))
    tracker = launch()
    tracker.start()
    tracker.close("FINISHED", [*ends, ended(new_job())], timeout=10)
    means = {name: value for name, value, *_ in client.run_of("study").metrics}
    assert means == {"test_dice/simclr 3": pytest.approx(0.75), "test_dice/b _y_ 3": pytest.approx(0.6)}
    for name in means:
        assert re.fullmatch(r"[/\w.\- :]*", name)  # mlflow.utils.validation
