"""The batch script for SLURM with commands of SLURM that act on this machine alone: two nodes are two raylets here."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from whole_studies import TINY, check_complete, final_metrics, finished

from study.storage.workspace import Workspace

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "deploy" / "slurm.sbatch"

SRUN = """#!/bin/bash
while [[ $1 == --* ]]; do shift; done
exec "$@"
"""
SCONTROL = """#!/bin/bash
case $1 in
show) echo 127.0.0.1; echo 127.0.0.1 ;;
requeue) echo "$2" >> "$REQUEUED" ;;
esac
"""


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file in which requeued jobs are noted."""
    for name, text in (("srun", SRUN), ("scontrol", SCONTROL)):
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
    requeued = tmp_path / "requeued"
    for name, value in {
        "PATH": f"{tmp_path / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "SLURM_JOB_ID": str(os.getpid()),
        "SLURM_JOB_NODELIST": "node[1-2]",
        "SLURM_CPUS_PER_TASK": "1",
        "WORKSPACE": str(tmp_path / "runs"),
        "REQUEUED": str(requeued),
    }.items():
        monkeypatch.setenv(name, value)
    return requeued


def submit() -> subprocess.Popen[str]:
    """Run the script as SLURM would."""
    return subprocess.Popen(
        ["bash", str(SCRIPT), str(TINY)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.mark.ray
@pytest.mark.drill
def test_a_study_over_its_time_limit_is_requeued_and_continues(uninterrupted, slurm, tmp_path):
    folder = Workspace(tmp_path / "runs").study("tiny")
    job = submit()
    while job.poll() is None and not (folder.ledger.exists() and len(finished(folder)) >= 3):
        time.sleep(0.1)
    below = psutil.Process(job.pid).children(recursive=True)
    job.send_signal(signal.SIGTERM)
    _, said = job.communicate(timeout=120)
    assert job.returncode == 143, said
    assert "Ray: 2 CPUs" in said
    assert slurm.read_text() == f"{os.getpid()}\n"
    assert psutil.wait_procs(below, timeout=60)[1] == []
    again = submit()
    _, said = again.communicate(timeout=300)
    assert again.returncode == 0, said
    assert slurm.read_text() == f"{os.getpid()}\n"
    check_complete(tmp_path / "runs")
    assert final_metrics(folder) == final_metrics(Workspace(uninterrupted).study("tiny"))
