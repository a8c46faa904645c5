"""Runs of whole studies through the command line, and checks of their records."""

import sqlite3
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

from study.cli.app import app
from study.cli.main import guarded
from study.scheduling.state import StudyState
from study.storage.events import JobFinished
from study.storage.ledger import read_ledger
from study.storage.workspace import StudyFolder, Workspace

TINY = Path(__file__).parent / "study" / "tiny.yaml"
PLANNED = {"pretext": 1, "trial": 12, "replicate": 8}


def command(root: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "study", *arguments, "--workspace", str(root)]


def study(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(root, *arguments), capture_output=True, text=True, timeout=300, check=False)


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """Run a command in this process, which saves its imports; return its exit code and all that it printed."""
    code = guarded(lambda: app(list(arguments), standalone_mode=False))
    captured = capsys.readouterr()
    return code, captured.out + captured.err


def finished(folder: StudyFolder) -> list[JobFinished]:
    """Return the end of each job, the last one where a trial had ended before it could be compared."""
    return list(StudyState.replay(read_ledger(folder.ledger)).outcomes.values())


def pretext_metrics(folder: StudyFolder) -> dict[str, float]:
    (event,) = [event for event in finished(folder) if event.kind == "pretext"]
    return dict(event.outcome.metrics)


def final_metrics(folder: StudyFolder) -> dict[str, object]:
    """Return the data of the table: every replicate's outcome and per-image test scores.

    Subjects are left out: their hashes are keyed, and every workspace has its own key.
    """
    return {
        event.job: (
            event.params,
            event.outcome.metrics["test/dice"],
            pd.read_csv(folder.job(event.job).test).drop(columns="subject").to_csv(),
        )
        for event in finished(folder)
        if event.kind == "replicate"
    }


def tracked(root: Path) -> Counter[tuple[str, str]]:
    """Runs in MLflow's store by (kind, status)."""
    with sqlite3.connect(root / "mlflow.db") as store:
        rows = store.execute(
            "select t.value, r.status from runs r join tags t on t.run_uuid = r.run_uuid and t.key = 'kind'"
        ).fetchall()
    return Counter(rows)


def check_tracked(root: Path, name: str = "tiny") -> None:
    """Check that MLflow agrees with the ledger on every job and has each of its epochs once and in order."""
    ended = StudyState.replay(read_ledger(Workspace(root).study(name).ledger)).outcomes
    with sqlite3.connect(root / "mlflow.db") as store:
        tags: dict[str, dict[str, str]] = {}
        for run, key, value in store.execute("select run_uuid, key, value from tags"):
            tags.setdefault(run, {})[key] = value
        mine = {run: own for run, own in tags.items() if own.get("study") == name and own["kind"] != "study"}
        current = {own["study.job"]: run for run, own in mine.items() if "superseded" not in own}
        assert len(current) == len([own for own in mine.values() if "superseded" not in own])
        assert current.keys() == ended.keys()
        states = dict(store.execute("select run_uuid, status from runs"))
        assert "RUNNING" not in {states[run] for run in tags}
        metrics: dict[tuple[str, str], list[tuple[int, float]]] = {}
        rows = store.execute("select run_uuid, key, step, value from metrics order by timestamp, step")
        for run, key, step, value in rows:
            metrics.setdefault((run, key), []).append((step, value))
        for job, event in ended.items():
            run = current[job]
            assert (
                states[run] == {"completed": "FINISHED", "stopped": "KILLED", "failed": "FAILED"}[event.outcome.status]
            )
            assert tags[run]["digest"] == event.digest
            assert ("censored" in tags[run]) == (event.outcome.status == "stopped")
            sent = [step for step, _ in metrics.get((run, "loss"), [])]
            for metric, value in event.outcome.metrics.items():
                if metric.startswith(("val/", "test/")):
                    key = f"best/{metric.removeprefix('val/')}" if metric.startswith("val/") else metric
                    *corrected, shown = metrics[run, key]
                    assert shown == (max([event.outcome.epochs, *sent]), value)  # a stopped trial may have gone on
                    assert not corrected or event.outcome.status == "stopped"
            if event.outcome.status == "completed":
                assert sent == list(range(1, event.outcome.epochs + 1))


def check_complete(root: Path) -> None:
    folder = Workspace(root).study("tiny")
    events = finished(folder)
    assert Counter(event.kind for event in events) == PLANNED
    runs = tracked(root)
    assert "RUNNING" not in {status for _, status in runs}
    assert sum(runs[key] for key in runs if key[0] in PLANNED) == sum(PLANNED.values())
    check_tracked(root)
