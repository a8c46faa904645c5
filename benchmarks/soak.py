"""Soak test: memory, processes and open files during an hour of tiny trials.

`python -m benchmarks.soak [--hours 1] [--workspace DIR]` runs a study with more trials than its budget of hours allows.
It samples the driver and its child processes once a minute, prints each sample, and reports processes left at the end.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from study.storage.events import JobFinished, TimeSpent, events_of_type
from study.storage.ledger import read_ledger
from study.storage.workspace import Workspace

STUDY = Path(__file__).parent / "soak.yaml"
INTERVAL_SECONDS = 60.0
BUDGET_SPENT = 5


@dataclass(frozen=True)
class Snapshot:
    """Resource usage of the driver and its child processes at one time."""

    minutes: float
    jobs: int
    driver_mb: float
    children_mb: float
    processes: int
    driver_files: int
    driver_threads: int


def take_snapshot(driver: psutil.Process, started: float, place: Workspace) -> Snapshot:
    """Sample the resource usage of the driver and its child processes."""
    children = driver.children(recursive=True)
    sizes = []
    for process in children:
        try:
            sizes.append(process.memory_info().rss)
        except psutil.NoSuchProcess:
            continue
    ledger = place.study("soak").ledger
    done = sum(1 for _ in events_of_type(read_ledger(ledger), JobFinished)) if ledger.exists() else 0
    return Snapshot(
        round((time.monotonic() - started) / 60, 1),
        done,
        round(driver.memory_info().rss / 1e6, 1),
        round(sum(sizes) / 1e6, 1),
        len(children),
        driver.num_fds(),
        driver.num_threads(),
    )


def main() -> None:
    """Run the study, sample its resource usage and print a summary."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=1.0, help="budget of the study in hours")
    parser.add_argument("--workspace", type=Path, help="workspace folder; default a temporary one")
    options = parser.parse_args()
    root = options.workspace or Path(tempfile.mkdtemp(prefix="soak-"))
    place = Workspace(root)
    command = [sys.executable, "-m", "study", "run", str(STUDY), "--name", "soak", "--workspace", str(root)]
    before = {process.pid for process in psutil.process_iter()}
    started = time.monotonic()
    driver = subprocess.Popen(
        [*command, "--set", f"budget.hours={options.hours}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    driver_process, snapshots = psutil.Process(driver.pid), []
    family: set[int] = set()
    while driver.poll() is None:
        try:
            driver.wait(INTERVAL_SECONDS)
        except subprocess.TimeoutExpired:
            snapshots.append(take_snapshot(driver_process, started, place))
            family |= {process.pid for process in driver_process.children(recursive=True)}
            print(json.dumps(asdict(snapshots[-1])), flush=True)
    time.sleep(5)
    events = read_ledger(place.study("soak").ledger)
    ended = list(events_of_type(events, JobFinished))
    left = [process.pid for process in psutil.process_iter() if process.pid in family - before]
    alive = [each for each in snapshots if each.processes]  # the driver may have exited before the last sample
    half = alive[len(alive) // 2 :]
    print(f"exit code {driver.returncode} (expected {BUDGET_SPENT}: budget spent)")
    print(f"{len(ended)} jobs: {dict(Counter(each.outcome.status for each in ended))}")
    print(f"{len({each.job for each in ended})} distinct jobs; processes left running: {len(left)}")
    for name in ("driver_mb", "children_mb", "processes", "driver_files", "driver_threads"):
        values = [getattr(each, name) for each in half]
        if values:
            print(f"{name:<15} second half: first {values[0]}, last {values[-1]}, max {max(values)}")
    spent = sum(each.seconds for each in events_of_type(events, TimeSpent))
    print(f"seconds counted {spent:.1f} of {options.hours * 3600:.1f} budgeted")


if __name__ == "__main__":
    main()
