"""Long drills: worker groups, dead workers, interruptions."""

import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from whole_studies import TINY, check_complete, command, final_metrics, finished, study, tracked

from study.storage.events import JobFinished
from study.storage.workspace import StudyFolder, Workspace

pytestmark = [pytest.mark.ray, pytest.mark.slow]


def pretext_metrics(folder: StudyFolder) -> dict[str, float]:
    (event,) = [event for event in finished(folder) if event.kind == "pretext"]
    return dict(event.outcome.metrics)


def test_two_workers_pretrain_as_one_does(uninterrupted, tmp_path):
    """Through Ray Train, from inside a Tune trial, while the rest of the study runs beside."""
    exact = ("--set", "pretext.fit.precision=float32", "--name", "tiny")
    one = study(tmp_path / "one", "run", str(TINY), *exact)
    assert one.returncode == 0, one.stderr
    two = study(tmp_path / "two", "run", str(TINY), *exact, "--set", "resources.pretext.workers=2")
    assert two.returncode == 0, two.stderr
    check_complete(tmp_path / "two")
    shared, alone = (pretext_metrics(Workspace(tmp_path / name).study("tiny")) for name in ("two", "one"))
    for name in ("loss", "val/loss", "val/embedding_std"):
        assert shared[name] == pytest.approx(alone[name], rel=2e-2)


def test_a_study_survives_the_death_of_its_workers(uninterrupted, tmp_path):
    driver = subprocess.Popen(
        command(tmp_path, "run", str(TINY)), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    killed = 0
    while driver.poll() is None and killed < 2:
        time.sleep(0.1)
        if len(finished_jobs(tmp_path)) >= 3 * (killed + 1):
            killed += kill_one(driver.pid, lambda words: "ImplicitFunc" in words[0])
    _, message = driver.communicate(timeout=300)
    assert driver.returncode == 0, message
    assert killed == 2
    check_complete(tmp_path)
    assert final_metrics(Workspace(tmp_path).study("tiny")) == final_metrics(Workspace(uninterrupted).study("tiny"))


def test_a_study_whose_cluster_is_gone_ends_instead_of_waiting_for_ever(uninterrupted, tmp_path):
    driver = subprocess.Popen(
        command(tmp_path, "run", str(TINY)), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    while driver.poll() is None and len(finished_jobs(tmp_path)) < 1:
        time.sleep(0.05)
    assert kill_one(driver.pid, lambda words: words[0].endswith("/raylet"))
    _, message = driver.communicate(timeout=200)
    assert driver.returncode in (0, 4), message  # 0 when the workers that are left need nothing more of the node
    assert driver.returncode == 0 or "no node left" in message
    resumed = study(tmp_path, "run", str(TINY))
    assert resumed.returncode == 0, resumed.stderr
    check_complete(tmp_path)
    assert final_metrics(Workspace(tmp_path).study("tiny")) == final_metrics(Workspace(uninterrupted).study("tiny"))


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


def test_control_c_stops_cleanly_and_the_same_command_goes_on(uninterrupted, tmp_path):
    driver = subprocess.Popen(
        command(tmp_path, "run", str(TINY)), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    while driver.poll() is None and len(finished_jobs(tmp_path)) < 5:
        time.sleep(0.05)
    os.kill(driver.pid, signal.SIGINT)
    _, message = driver.communicate(timeout=120)
    assert driver.returncode == 130, message
    assert "Traceback" not in message
    resumed = study(tmp_path, "run", str(TINY))
    assert resumed.returncode == 0, resumed.stderr
    check_complete(tmp_path)
    assert final_metrics(Workspace(tmp_path).study("tiny")) == final_metrics(Workspace(uninterrupted).study("tiny"))


def finished_jobs(root: Path) -> list[JobFinished]:
    folder = Workspace(root).study("tiny")
    return finished(folder) if folder.ledger.exists() else []


def test_a_job_that_runs_out_of_memory_fails_and_takes_nothing_with_it(tmp_path, monkeypatch):
    """Ray kills what has most memory when the node has little; the same job again would end the same way."""
    memory, spare = psutil.virtual_memory(), 4 * 2**30
    if memory.available < 2 * spare:
        pytest.skip("too little memory for a study that runs out of it")
    monkeypatch.setenv("RAY_memory_usage_threshold", str((memory.total - memory.available + spare) / memory.total))
    small = ("factors.pretext.method=[random]", "factors.downstream.label_fraction=[1.0]", "search.trials=1")
    sets = [word for each in (*small, "factors.network.backbone.width=[8, 4096]") for word in ("--set", each)]
    ran = study(tmp_path, "run", str(TINY), *sets)
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
    assert "4096" in str(failed.cell)
    assert "out of memory" in str(failed.outcome.reason)
    assert "RUNNING" not in {status for _, status in tracked(tmp_path)}
