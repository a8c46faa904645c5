"""Running whole studies through the command line, and what must hold when one has ended."""

import sqlite3
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pandas as pd

from study.ledger import follow, read_ledger
from study.workspace import StudyFolder, Workspace

TINY = Path(__file__).parent / "study" / "tiny.yaml"
PLANNED = {"pretext": 1, "trial": 12, "replicate": 8}


def command(root: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "study", *arguments, "--workspace", str(root)]


def study(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(root, *arguments), capture_output=True, text=True, timeout=300, check=False)


def finished(folder: StudyFolder) -> list[dict[str, object]]:
    return list(follow(read_ledger(folder.ledger), "finished"))


def final_metrics(folder: StudyFolder) -> dict[str, object]:
    """What the table is made of: every replicate's outcome and per-image test scores.

    Subjects are left out: their hashes are keyed, and every workspace has its own key.
    """
    return {
        str(event["job"]): (
            event["params"],
            event["metrics"]["test/dice"],
            pd.read_csv(folder.job(str(event["job"])).test).drop(columns="subject").to_csv(),
        )
        for event in finished(folder)
        if event["kind"] == "replicate"
    }


def tracked(root: Path) -> Counter[tuple[str, str]]:
    """Runs in MLflow's store by (kind, status)."""
    with sqlite3.connect(root / "mlflow.db") as store:
        rows = store.execute(
            "select t.value, r.status from runs r join tags t on t.run_uuid = r.run_uuid and t.key = 'kind'"
        ).fetchall()
    return Counter(rows)


def check_complete(root: Path) -> None:
    folder = Workspace(root).study("tiny")
    events = finished(folder)
    assert Counter(event["kind"] for event in events) == PLANNED
    assert len({event["job"] for event in events}) == len(events)
    runs = tracked(root)
    assert "RUNNING" not in {status for _, status in runs}
    assert sum(runs[key] for key in runs if key[0] in PLANNED) == sum(PLANNED.values())
