"""Commands that print results: values are whole in a pipe and named."""

import json
import os
import shutil
import socket
from dataclasses import replace
from pathlib import Path

import pytest
from fake_results import FakeStudy

from study.cli.app import app
from study.cli.main import guarded
from study.planning.jobs import Outcome
from study.storage.events import JobFinished, JobRetried, PretrainingReused
from study.storage.ledger import Ledger, read_ledger
from study.storage.lock import driver_lock
from study.storage.progress_file import LaunchProgress, write_progress
from study.storage.workspace import Workspace
from trainables.common.learning import Learning

METHODS = ("random", "a_pretext_method_with_a_rather_long_name_that_leaves_no_room")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a workspace with the studies `fake` and `second`, which are equal."""
    folder = FakeStudy(methods=METHODS, fractions=("0.05", "1"), replicates=2, subjects=4).write(tmp_path)
    shutil.copytree(folder.root, folder.root.with_name("second"))
    return tmp_path


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert guarded(lambda: app(list(arguments), standalone_mode=False)) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize(
    "command", [("compare", "fake", "second"), ("best", "fake"), ("best", "fake", "--pareto-front")]
)
def test_no_cell_is_cut_or_folded_in_a_pipe(capsys, root, command):
    _, *rows = printed(capsys, *command, "--workspace", str(root)).splitlines()
    expected = {f"method={method},label_fraction={fraction}" for method in METHODS for fraction in ("0.05", "1")}
    assert {row.split()[0] for row in rows} == expected


def test_the_best_cells_have_the_mean_of_their_replicates_and_say_so(capsys, root):
    header, *_ = printed(capsys, "best", "fake", "--workspace", str(root)).splitlines()
    assert header.split() == ["cell", "val/dice,", "mean", "of", "the", "replicates", "settings"]
    rows = json.loads(printed(capsys, "best", "fake", "--workspace", str(root), "--json"))
    assert {row["replicates"] for row in rows} == {2}


def test_the_pareto_front_has_the_values_of_trials_and_says_so(capsys, root):
    header, *rows = printed(capsys, "best", "fake", "--pareto-front", "--workspace", str(root)).splitlines()
    assert header.split() == ["cell", "trial", "val/dice", "of", "the", "trial", "settings"]
    assert all(row.split()[1:3] == ["1", "0.8100"] for row in rows)


def test_the_status_says_whether_a_study_runs_and_how_many_jobs_failed(capsys, root):
    folder = Workspace(root).study("fake")
    ledger = Ledger(folder.ledger, lambda: 1e6)
    ledger.append(JobFinished("x-trial-0", "trial", "x", 0, {}, "d", Outcome("failed", {}, 1, 1.0, "it diverged")))
    for index in (1, 2):
        outcome = Outcome("failed", {}, 0, 0.0, "dependency failed: pretext-byol-1a2b")
        ledger.append(JobFinished(f"x-trial-{index}", "trial", "x", index, {}, "d", outcome))
    ledger.append(PretrainingReused("pretext-simclr-3c4d", "d2", Learning("learned", "matched views 80%")))
    ledger.close()
    assert printed(capsys, "status", "fake", "--workspace", str(root)).splitlines()[0] == "fake: finished, 3 failed"
    counts = json.loads(printed(capsys, "status", "fake", "--workspace", str(root), "--json"))["jobs"]["pretext"]
    assert (counts["reused"], counts["completed"]) == (1, 1)
    with driver_lock(folder.lock):
        shown = printed(capsys, "status", "fake", "--workspace", str(root)).splitlines()
    assert shown[1].split() == ["planned", "reused", "completed", "stopped", "failed"]
    assert shown[0] == f"fake: running (pid {os.getpid()} on {socket.gethostname()}), 3 failed"
    assert shown[-3:] == [
        "pretext-simclr-3c4d: learned: matched views 80% (reused)",
        "failed: x-trial-0: it diverged",
        "failed: 2 jobs not run: dependency failed: pretext-byol-1a2b",
    ]


def test_the_status_of_a_running_study_has_its_driver_its_jobs_and_the_time_left(capsys, tmp_path):
    folder = FakeStudy(methods=("random",), fractions=("1",), replicates=4, subjects=2, finished=2).write(tmp_path)
    jobs = [{"label": "random 1 · replicate 2", "epoch": 3, "epochs": 12}]
    write_progress(folder.progress, LaunchProgress(os.getpid(), 0.0, jobs))
    with driver_lock(folder.lock):
        head, *rest = printed(capsys, "status", "fake", "--workspace", str(tmp_path)).splitlines()
        told = json.loads(printed(capsys, "status", "fake", "--workspace", str(tmp_path), "--json"))
    left = 2 * 1.5  # two replicates, of which one at a time runs for 1.5 s as those before
    assert head == f"fake: running (pid {os.getpid()} on {socket.gethostname()}, about {left / 60:.1f} min left)"
    assert "running: random 1 · replicate 2 3/12" in rest
    assert (told["seconds_left"], told["running"]) == (left, jobs)
    assert told["driver"] == {"host": socket.gethostname(), "pid": os.getpid()}
    told = json.loads(printed(capsys, "status", "fake", "--workspace", str(tmp_path), "--json"))
    assert (told["state"], told["driver"], told["running"], told["seconds_left"]) == ("unfinished", None, [], None)


def test_a_study_is_finished_where_its_run_says_so_until_something_changes(capsys, tmp_path):
    """Such as a study with a cell whose trials all failed, which chooses nothing and trains no replicates."""
    folder = FakeStudy(methods=("random",), fractions=("1",), replicates=4, subjects=2, finished=2).write(tmp_path)
    complete = LaunchProgress(1, 0.0, complete=True, events=len(read_ledger(folder.ledger)))
    write_progress(folder.progress, complete)
    shown = printed(capsys, "status", "fake", "--workspace", str(tmp_path))
    assert shown.splitlines()[0] == "fake: finished"
    ledger = Ledger(folder.ledger, lambda: 1e6)
    ledger.append(JobRetried("random-1-replicate-0", "replicate", "method=random,label_fraction=1", 0, "d"))
    ledger.close()
    shown = printed(capsys, "status", "fake", "--workspace", str(tmp_path))
    assert shown.splitlines()[0] == "fake: unfinished"


def test_the_status_counts_labelled_subjects(capsys, root):
    assert "labels:" not in printed(capsys, "status", "fake", "--workspace", str(root))
    plan = Workspace(root).study("fake").plan
    content = json.loads(plan.read_text())
    for cell in content["cells"]:
        cell["labels"] = {"training": 5 if cell["levels"]["label_fraction"] == "0.05" else 100, "validation": 2}
    plan.write_text(json.dumps(content))
    line = "labels: 5 training + 2 validation subjects (2 cells); 100 training + 2 validation subjects (2 cells)"
    assert line in printed(capsys, "status", "fake", "--workspace", str(root)).splitlines()
    told = json.loads(printed(capsys, "status", "fake", "--workspace", str(root), "--json"))
    assert set(told["labels"]) == {cell["key"] for cell in content["cells"]}


def test_a_study_without_validation_has_no_best_cell_and_says_why(capsys, tmp_path):
    class Unvalidated(FakeStudy):
        def replicate(self, *arguments):
            done = super().replicate(*arguments)
            return replace(done, outcome=replace(done.outcome, metrics={"test/dice": 0.9}))

    Unvalidated(methods=("random",), fractions=("1",), replicates=1, subjects=2).write(tmp_path)
    assert guarded(lambda: app(["best", "fake", "--workspace", str(tmp_path)], standalone_mode=False)) == 2
    assert "no val/dice to order its cells by (downstream.validation: none)" in capsys.readouterr().err
