"""Parts of a measurement: order, time limits, records and refusals. Their processes run this module itself."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks import timed_parts
from benchmarks.timed_parts import Outcome, Part, PartFailed, PartSkipped, in_process, run_all

ROOT = Path(__file__).parents[2]
PID = "STARTED_BY_A_PART"


def fine(options: argparse.Namespace) -> dict[str, Any]:
    return {"device": options.device, "rate": 2.5, "nested": {"waits": 0}}


def wrong(options: argparse.Namespace) -> dict[str, Any]:
    raise PartFailed("first line\nthe loss is nan")


def absent(options: argparse.Namespace) -> dict[str, Any]:
    raise PartSkipped("there is no peer")


def crashed(options: argparse.Namespace) -> dict[str, Any]:
    raise RuntimeError("CUDA error")


def endless(options: argparse.Namespace) -> dict[str, Any]:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    Path(os.environ[PID]).write_text(str(child.pid))
    time.sleep(600)
    return {}


MODULE = "tests.benchmarks.test_timed_parts"
PARTS = tuple(Part(run.__name__, 60.0, run, MODULE) for run in (fine, wrong, absent, crashed, endless))
BY_NAME = {part.name: part for part in PARTS}
CPU = ["--device", "cpu"]


@pytest.fixture(autouse=True)
def _environment(monkeypatch, tmp_path):
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{ROOT / 'tests'}")
    monkeypatch.setenv(PID, str(tmp_path / "pid"))
    monkeypatch.chdir(ROOT)


def test_a_part_has_one_line_of_text():
    found = fine(argparse.Namespace(device="cpu"))
    passed, failed = Outcome("fine", "passed", 1.25, found), Outcome("wrong", "failed", 2.0, {}, "one\nthe loss is nan")
    assert passed.line() == "passed    fine (1.2 s): device cpu, rate 2.5, nested (waits 0)"
    assert failed.line() == "failed    wrong (2.0 s): the loss is nan"


def test_a_part_that_crashes_fails_with_the_end_of_its_output():
    outcome = in_process(BY_NAME["crashed"], 60.0, CPU)
    assert outcome.status == "failed"
    assert outcome.message.splitlines()[-1] == "RuntimeError: CUDA error"


def _runs(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


def test_a_part_that_takes_too_long_is_killed_with_its_children(tmp_path):
    outcome = in_process(BY_NAME["endless"], 15.0, CPU)
    assert (outcome.status, outcome.message) == ("timed out", "more than 15 s")
    child = int((tmp_path / "pid").read_text())
    ends = time.monotonic() + 10
    while _runs(child) and time.monotonic() < ends:
        time.sleep(0.05)
    assert not _runs(child)


def test_parts_run_in_order_for_as_long_as_the_budget_lasts():
    now, started = [0.0], []

    def start(part: Part, seconds: float) -> Outcome:
        started.append((part.name, seconds))
        now[0] += min(seconds, 50.0)
        return Outcome(part.name, "passed", 50.0)

    outcomes = list(run_all(PARTS[:4], start, 130.0, lambda: now[0]))
    assert started == [("fine", 60.0), ("wrong", 60.0), ("absent", 30.0)]
    assert [each.status for each in outcomes] == ["passed", "passed", "passed", "skipped"]
    assert outcomes[-1].message == "no time is left of the budget"


def command(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", MODULE, *options], capture_output=True, text=True, check=False)


def test_all_outcomes_are_written_and_a_failed_one_is_the_exit_code(tmp_path):
    path = tmp_path / "found.json"
    done = command(*CPU, "--only", "fine", "absent", "wrong", "--json", str(path))
    assert done.returncode == 1, done.stderr
    assert [line.split()[:2] for line in done.stdout.splitlines()[1:]] == [
        ["passed", "fine"],
        ["failed", "wrong"],
        ["skipped", "absent"],
    ]
    written = json.loads(path.read_text())
    assert [each["part"] for each in written["parts"]] == ["fine", "wrong", "absent"]
    assert written["parts"][0]["found"] == {"device": "cpu", "rate": 2.5, "nested": {"waits": 0}}
    assert [each["message"].splitlines()[-1:] for each in written["parts"]] == [
        [],
        ["the loss is nan"],
        ["there is no peer"],
    ]
    assert written["device"].startswith("CPU rehearsal")


@pytest.mark.parametrize("name", ["gpu", "gpu_first"])
def test_without_a_gpu_it_is_refused(name, monkeypatch, capsys):
    module = importlib.import_module(f"benchmarks.{name}")  # here: a part's process need not import it
    monkeypatch.setattr(sys, "argv", ["benchmark"])
    with pytest.raises(SystemExit) as ended:
        module.main()
    assert ended.value.code == 2
    assert "no GPU found. Fix: run on a machine with a GPU, or use --device cpu" in capsys.readouterr().err


def test_the_first_half_hour_needs_neither_ray_nor_mlflow_nor_madgrad():
    blocked = "import sys; [sys.modules.__setitem__(n, None) for n in ('ray', 'mlflow', 'optuna', 'madgrad', 'study')]"
    code = f"{blocked}; from benchmarks import gpu_first; print(*(part.name for part in gpu_first.PARTS))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    names = done.stdout.split()
    assert names[:7] == ["tests", "waits", "agreement", "precision", "resume", "out_of_memory", "workers"]
    assert names[7:10] == ["product", "simclr", "deeplabv3"]
    assert names[-1] == "profiles"


if __name__ == "__main__":
    sys.exit(timed_parts.main(timed_parts.options_of(__doc__, PARTS, 300), PARTS, lambda part, options: []))
