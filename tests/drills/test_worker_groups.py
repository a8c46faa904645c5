"""Studies with worker groups, and whose workers, node or driver end before they do."""

import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from whole_studies import TINY, check_complete, command, final_metrics, finished, pretext_metrics, study, tracked

from study.storage.lock import holder
from study.storage.workspace import Workspace

pytestmark = [pytest.mark.ray, pytest.mark.slow]


def test_pretraining_with_two_workers_equals_one(uninterrupted, tmp_path):
    """Train through Ray Train, from inside a Tune trial, while other jobs run."""
    ran = study(tmp_path, "run", str(TINY), "--set", "resources.pretext.workers=2")
    assert ran.returncode == 0, ran.stderr
    check_complete(tmp_path)
    two, one = (pretext_metrics(Workspace(root).study("tiny")) for root in (tmp_path, uninterrupted))
    for name in ("loss", "val/loss", "val/embedding_std"):
        assert two[name] == pytest.approx(one[name], rel=2e-2)


def test_a_study_survives_dead_workers_a_stop_and_a_dead_node(uninterrupted, tmp_path):
    folder = Workspace(tmp_path).study("tiny")
    with_dead_workers = start(tmp_path)
    for jobs in (3, 6):
        wait_for_jobs(with_dead_workers, tmp_path, jobs)
        while not kill_one(with_dead_workers.pid, lambda words: "ImplicitFunc" in words[0]):
            assert with_dead_workers.poll() is None
    wait_for_jobs(with_dead_workers, tmp_path, 9)
    assert holder(folder.lock) is not None
    stopped = study(tmp_path, "stop", "tiny")  # as Ctrl-C does
    assert stopped.returncode == 0, stopped.stderr
    _, message = with_dead_workers.communicate(timeout=60)
    assert with_dead_workers.returncode == 130, message
    assert "Traceback" not in message

    with_dead_node = start(tmp_path)
    wait_for_jobs(with_dead_node, tmp_path, len(finished(folder)) + 1)
    assert kill_one(with_dead_node.pid, lambda words: words[0].endswith("/raylet"))
    _, message = with_dead_node.communicate(timeout=200)
    assert with_dead_node.returncode in (0, 4), message  # 0 if the workers that are left need no node
    assert with_dead_node.returncode == 0 or "no node left" in message

    resumed = study(tmp_path, "run", str(TINY))
    assert resumed.returncode == 0, resumed.stderr
    check_complete(tmp_path)
    assert final_metrics(folder) == final_metrics(Workspace(uninterrupted).study("tiny"))


def start(root: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command(root, "run", str(TINY)), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


def wait_for_jobs(driver: subprocess.Popen[str], root: Path, jobs: int) -> None:
    """Wait until so many jobs have ended; fail if the driver ends first."""
    folder = Workspace(root).study("tiny")
    while not folder.ledger.exists() or len(finished(folder)) < jobs:
        assert driver.poll() is None, driver.communicate()[1]
        time.sleep(0.05)


def kill_one(driver: int, wanted: Callable[[list[str]], bool]) -> bool:
    """Kill -9 the first process below the driver whose command line is `wanted`."""
    for child in psutil.Process(driver).children(recursive=True):
        try:
            if wanted(child.cmdline() or [""]):
                child.kill()
                return True
        except psutil.NoSuchProcess:
            continue
    return False


def test_a_job_that_runs_out_of_memory_fails_alone(tmp_path, monkeypatch):
    """Ray kills the process with most memory when the node has little; a restarted job would end the same way."""
    memory, spare = psutil.virtual_memory(), 6 * 2**30  # more than tests beside this one take meanwhile
    if memory.available < spare + 4 * 2**30:
        pytest.skip("too little memory for a study that runs out of it")
    monkeypatch.setenv("RAY_memory_usage_threshold", str((memory.total - memory.available + spare) / memory.total))
    small = ("factors.pretext.method=[random]", "factors.downstream.label_fraction=[1.0]", "search.trials=1")
    sets = [word for each in (*small, "factors.network.backbone.width=[8, 1024]") for word in ("--set", each)]
    ran = study(tmp_path, "run", str(TINY), "--no-rehearse", *sets)  # a rehearsal would find it
    assert ran.returncode == 3, ran.stderr
    folder = Workspace(tmp_path).study("tiny")
    events = finished(folder)
    assert len({event.job for event in events}) == len(events)
    assert Counter((event.kind, event.outcome.status) for event in events) == {
        ("trial", "completed"): 1,
        ("replicate", "completed"): 2,
        ("trial", "failed"): 1,
    }
    (failed,) = [event for event in events if event.outcome.status == "failed"]
    assert "1024" in str(failed.cell)
    assert "out of memory" in str(failed.outcome.reason)
    assert "RUNNING" not in {status for _, status in tracked(tmp_path)}
