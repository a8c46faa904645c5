"""Faults planted in whole studies: each study ends with the results of an undisturbed one."""

import contextlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from whole_studies import TINY, check_complete, check_tracked, command, final_metrics, finished, study

from study.storage.workspace import Workspace

pytestmark = [pytest.mark.ray, pytest.mark.drill]


def hooked(root: Path, hook: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`study run tiny` in a process that first runs `hook`."""
    program = f"import sys\n{hook}\nfrom study.cli.main import main\nmain()"
    words = [sys.executable, "-c", program, *command(root, "run", str(TINY), *arguments)[3:]]
    return subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)


def same_end(root: Path, undisturbed: Path) -> None:
    check_complete(root)
    assert final_metrics(Workspace(root).study("tiny")) == final_metrics(Workspace(undisturbed).study("tiny"))


KILLED_AT_AN_EVENT = """
import inspect, os, signal
from study.storage.ledger import Ledger
append, left = Ledger.append, {events}
assert list(inspect.signature(append).parameters) == ["self", "event"], inspect.signature(append)
def killed(self, event):
    global left
    left -= type(event).__name__ != "TimeSpent"
    if left == 0 and {before}:
        os.kill(os.getpid(), signal.SIGKILL)
    done = append(self, event)
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return done
Ledger.append = killed
"""


@pytest.mark.parametrize("chain", range(2))
def test_a_driver_that_dies_again_and_again_at_random_events_ends_like_any_other(uninterrupted, tmp_path, chain):
    """The driver dies before or after an event is on disk, such as between a reported metric and the ledger."""
    chance = random.Random(chain)
    deaths = 0
    while deaths < 4:
        hook = KILLED_AT_AN_EVENT.format(events=chance.randint(1, 14), before=chance.random() < 0.5)
        ran = hooked(tmp_path, hook)
        if ran.returncode == 0:
            break
        assert ran.returncode == -signal.SIGKILL, ran.stderr
        deaths += 1
    assert deaths >= 2
    last = study(tmp_path, "run", str(TINY))
    assert last.returncode == 0, last.stderr
    same_end(tmp_path, uninterrupted)


SAVED_EACH_EPOCH = """
import inspect
import time
from study.storage.remote import LocalIO
from trainables.engine.checkpoint import Checkpoints
LocalIO.save_every, save = 0.0, Checkpoints.save
if list(inspect.signature(save).parameters) != ["self", "state", "on_saved"]:
    raise SystemExit(f"Checkpoints.save{inspect.signature(save)} does not fit this hook")  # site ignores an Exception
def slowly(self, state, on_saved=lambda: None):
    save(self, state, on_saved)
    time.sleep(0.5)
Checkpoints.save = slowly
"""


def truncated(data: bytes) -> bytes:
    return data[: len(data) // 2]


def with_a_flipped_bit(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


def with_two_checkpoints(jobs: Path) -> list[Path]:
    """The newest checkpoint of every replicate that has one behind it too."""
    newest = (path.with_name("checkpoint.pt") for path in jobs.glob("*-replicate-*/checkpoint.previous.pt"))
    return [path for path in newest if path.exists()]


@pytest.mark.parametrize("damage", [truncated, with_a_flipped_bit])
def test_a_damaged_checkpoint_costs_one_epoch(uninterrupted, tmp_path, monkeypatch, damage):
    (tmp_path / "hooks").mkdir()
    (tmp_path / "hooks" / "sitecustomize.py").write_text(SAVED_EACH_EPOCH)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "hooks"), prepend=os.pathsep)
    root = tmp_path / "runs"
    jobs = Workspace(root).study("tiny").root / "jobs"
    driver = subprocess.Popen(command(root, "run", str(TINY)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while driver.poll() is None and not with_two_checkpoints(jobs):
        time.sleep(0.01)
    below = psutil.Process(driver.pid).children(recursive=True)
    for process in (driver, *below):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(below, timeout=30)
    driver.wait()
    damaged = with_two_checkpoints(jobs)
    assert damaged
    for path in damaged:
        path.write_bytes(damage(path.read_bytes()))
    monkeypatch.delenv("PYTHONPATH")
    again = study(root, "run", str(TINY))
    assert again.returncode == 0, again.stderr
    same_end(root, uninterrupted)
    for path in damaged:
        epochs = [json.loads(line)["epoch"] for line in path.with_name("metrics.jsonl").read_text().splitlines()]
        assert epochs.count(1) == 1, epochs


def begun(root: Path, jobs: int) -> subprocess.Popen[str]:
    """Start `study run tiny` in a process group of its own and wait until some jobs have ended."""
    driver = subprocess.Popen(
        command(root, "run", str(TINY)),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    folder = Workspace(root).study("tiny")
    while driver.poll() is None and not (folder.ledger.exists() and len(finished(folder)) >= jobs):
        time.sleep(0.02)
    return driver


def test_sigterm_ends_a_study_as_ctrl_c_does(uninterrupted, tmp_path):
    driver = begun(tmp_path, 2)
    below = psutil.Process(driver.pid).children(recursive=True)
    assert below
    driver.send_signal(signal.SIGTERM)
    _, message = driver.communicate(timeout=60)
    assert driver.returncode == 143, message
    assert message.endswith("Run the same command again to continue\n")
    assert "Traceback" not in message
    assert psutil.wait_procs(below, timeout=20)[1] == []
    again = study(tmp_path, "run", str(TINY))
    assert again.returncode == 0, again.stderr
    same_end(tmp_path, uninterrupted)


def _name(process: psutil.Process) -> str:
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.name()
    return ""


def test_a_dead_head_ends_a_study_with_one_message(uninterrupted, tmp_path):
    driver = begun(tmp_path, 2)
    below = psutil.Process(driver.pid).children(recursive=True)
    (head,) = [process for process in below if _name(process) == "gcs_server"]
    head.kill()
    _, message = driver.communicate(timeout=60)
    assert driver.returncode == 4, message
    assert message.splitlines()[-1].startswith("error: the Ray cluster's head has died")
    assert "Traceback" not in message
    assert ".cc:" not in message
    assert psutil.wait_procs(below, timeout=20)[1] == []
    again = study(tmp_path, "run", str(TINY))
    assert again.returncode == 0, again.stderr
    same_end(tmp_path, uninterrupted)


def test_a_clock_that_jumps_an_hour_and_back_changes_nothing(uninterrupted, tmp_path):
    hook = """
import inspect, time
from study.storage.ledger import Ledger
real, calls, append = time.time, 0, Ledger.append
assert list(inspect.signature(append).parameters) == ["self", "event"], inspect.signature(append)
def jumping():
    global calls
    calls += 1
    return real() + (3600 if calls // 40 % 2 else 0)
def begun(self, event):
    if hasattr(event, "job"):
        time.time = jumping
    return append(self, event)
Ledger.append = begun
"""
    ran = hooked(tmp_path, hook)
    assert ran.returncode == 0, ran.stderr
    same_end(tmp_path, uninterrupted)


def test_a_second_driver_is_refused_with_the_name_of_the_first(tmp_path):
    few = ("--set", "factors.pretext.method=[random]", "--set", "factors.downstream.label_fraction=[1.0]")
    first = subprocess.Popen(
        command(tmp_path, "run", str(TINY), *few), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    ledger = Workspace(tmp_path).study("tiny").ledger
    while first.poll() is None and not ledger.exists():
        time.sleep(0.05)
    second = study(tmp_path, "run", str(TINY), *few)
    assert second.returncode == 4
    assert socket.gethostname() in second.stderr
    assert str(first.pid) in second.stderr
    assert first.wait(200) == 0


def test_a_loss_that_is_not_a_number_fails_at_once_with_its_reason(tmp_path):
    sets = (
        "factors.pretext.method=[random]",
        "factors.downstream.label_fraction=[1.0]",
        "search.space={downstream.fit.optimizer.lr: {choice: [1e-3, 1e30]}}",
        "search.sampler=grid",
        "search.trials=2",
        "search.pruner=none",
    )
    ran = study(tmp_path, "run", str(TINY), *(word for each in sets for word in ("--set", each)))
    assert ran.returncode == 3, ran.stderr
    events = finished(Workspace(tmp_path).study("tiny"))
    (failed,) = [event for event in events if event.outcome.status == "failed"]
    assert failed.params == {"downstream.fit.optimizer.lr": 1e30}
    assert "lower the learning rate" in str(failed.outcome.reason) or "not finite" in str(failed.outcome.reason)
    assert ran.stderr.count(f"started   random 1.0 · trial {failed.index}\n") == 1
    assert Counter(event.outcome.status for event in events) == {"completed": 3, "failed": 1}
    check_tracked(tmp_path)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256m", "tmpfs", str(disk)], capture_output=True, check=False
    )  # fmt: skip
    if made.returncode:
        pytest.skip("no right to mount a small disk")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_full_disk_stops_the_study_and_space_lets_it_go_on(uninterrupted, small_disk):
    driver = subprocess.Popen(
        command(small_disk, "run", str(TINY)), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    folder, ballast = Workspace(small_disk).study("tiny"), small_disk / "ballast"
    while driver.poll() is None and not (folder.ledger.exists() and len(finished(folder)) >= 3):
        time.sleep(0.02)
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    _, message = driver.communicate(timeout=200)
    assert driver.returncode == 4, message
    assert "space" in message
    assert "Traceback" not in message
    ballast.unlink()
    again = study(small_disk, "run", str(TINY))
    assert again.returncode == 0, again.stderr
    same_end(small_disk, uninterrupted)


def test_a_video_that_breaks_in_mid_study_breaks_nothing(uninterrupted, tmp_path):
    """Frames are decoded once, before anything trains."""
    driver = subprocess.Popen(
        command(tmp_path, "run", str(TINY)), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    folder = Workspace(tmp_path).study("tiny")
    while driver.poll() is None and not (folder.ledger.exists() and len(finished(folder)) >= 2):
        time.sleep(0.02)
    videos = sorted((tmp_path / "data").rglob("*.avi"))
    assert videos
    videos[0].write_bytes(b"RIFF")
    _, message = driver.communicate(timeout=200)
    assert driver.returncode == 0, message
    same_end(tmp_path, uninterrupted)


class Server:
    """An MLflow server of its own process group."""

    def __init__(self, root: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.store, self.files = root / "mlflow.db", root / "files"
        self.uri = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        words = ["server", "--host", "127.0.0.1", "--port", str(self.port), "--workers", "1"]
        places = ["--backend-store-uri", f"sqlite:///{self.store}", "--artifacts-destination", str(self.files)]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", *words, *places],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        until = time.monotonic() + 90
        while time.monotonic() < until:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            time.sleep(0.2)
        raise AssertionError("the server does not start")

    def kill(self) -> None:
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    (tmp_path / "tracking").mkdir()
    made = Server(tmp_path / "tracking")
    made.start()
    yield made
    made.kill()


def test_a_dead_tracking_server_stalls_no_job_and_receives_all_records_later(uninterrupted, server, tmp_path):
    root = tmp_path / "here"
    driver = subprocess.Popen(
        command(root, "run", str(TINY), "--set", f"tracking={server.uri}"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    folder = Workspace(root).study("tiny")
    while driver.poll() is None and not (folder.ledger.exists() and len(finished(folder)) >= 2):
        time.sleep(0.02)
    server.kill()
    while driver.poll() is None and len(finished(folder)) < 21:
        time.sleep(0.1)
    assert len(finished(folder)) == 21  # nothing waited for it
    _, message = driver.communicate(timeout=200)
    assert driver.returncode == 0, message
    assert "MLflow" in message
    server.start()
    again = study(root, "run", str(TINY), "--set", f"tracking={server.uri}")
    assert again.returncode == 0, again.stderr
    shutil.copy(server.store, root / "mlflow.db")
    same_end(root, uninterrupted)


class Slowly:
    """Passes connections on to a server, every piece of data late."""

    def __init__(self, port: int, delay: float) -> None:
        self._port, self._delay = port, delay
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._port))
                for one, other in ((client, server), (server, client)):
                    threading.Thread(target=self._carry, args=(one, other), daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(2**16):
                time.sleep(self._delay)
                sink.sendall(data)
        for each in (source, sink):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


def test_slow_storage_makes_a_study_slow_and_nothing_else(uninterrupted, s3_server, tmp_path, monkeypatch):
    slow = Slowly(s3_server, 0.02)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{slow.port}")
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path / "node"))
    ran = study(tmp_path / "here", "run", str(TINY), "--set", "storage=s3://studies/team")
    assert ran.returncode == 0, ran.stderr
    same_end(tmp_path / "here", uninterrupted)


def test_a_budget_of_hours_ends_the_study_exactly_and_a_larger_one_lets_it_go_on(uninterrupted, tmp_path):
    small = study(tmp_path, "run", str(TINY), "--set", "budget.hours=0.0015")
    assert small.returncode == 5, small.stderr
    assert "budget.hours (0.0015) is spent" in small.stderr
    again = study(tmp_path, "run", str(TINY), "--set", "budget.hours=0.0015")
    assert again.returncode == 5
    larger = study(tmp_path, "run", str(TINY))
    assert larger.returncode == 0, larger.stderr
    same_end(tmp_path, uninterrupted)
