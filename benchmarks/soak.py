"""An hour of tiny trials: do memory, processes and files stay where they are?

`python -m benchmarks.soak [--hours 1] [--workspace DIR]` runs a study with far more trials than fit, until its budget
of hours is spent, looks at the driver and everything below it once a minute, and prints that and what was left over.
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
EVERY = 60.0
BUDGET_SPENT = 5


@dataclass(frozen=True)
class LineStyle:
    """The driver and the processes below it at one moment."""

    minutes: float
    jobs: int
    driver_mb: float
    below_mb: float
    processes: int
    driver_files: int
    driver_threads: int


def look(driver: psutil.Process, started: float, place: Workspace) -> LineStyle:
    """Now."""
    below = driver.children(recursive=True)
    sizes = []
    for process in below:
        try:
            sizes.append(process.memory_info().rss)
        except psutil.NoSuchProcess:
            continue
    ledger = place.study("soak").ledger
    done = sum(1 for _ in events_of_type(read_ledger(ledger), JobFinished)) if ledger.exists() else 0
    return LineStyle(
        round((time.monotonic() - started) / 60, 1),
        done,
        round(driver.memory_info().rss / 1e6, 1),
        round(sum(sizes) / 1e6, 1),
        len(below),
        driver.num_fds(),
        driver.num_threads(),
    )


def main() -> None:
    """Run, look, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--workspace", type=Path)
    options = parser.parse_args()
    root = options.workspace or Path(tempfile.mkdtemp(prefix="soak-"))
    place = Workspace(root)
    command = [sys.executable, "-m", "study", "run", str(STUDY), "--name", "soak", "--workspace", str(root)]
    before = {process.pid for process in psutil.process_iter()}
    started = time.monotonic()
    driver = subprocess.Popen(
        [*command, "--set", f"budget.hours={options.hours}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    seen, looks = psutil.Process(driver.pid), []
    family: set[int] = set()
    while driver.poll() is None:
        try:
            driver.wait(EVERY)
        except subprocess.TimeoutExpired:
            looks.append(look(seen, started, place))
            family |= {process.pid for process in seen.children(recursive=True)}
            print(json.dumps(asdict(looks[-1])), flush=True)
    time.sleep(5)
    events = read_ledger(place.study("soak").ledger)
    ended = list(events_of_type(events, JobFinished))
    left = [process.pid for process in psutil.process_iter() if process.pid in family - before]
    alive = [each for each in looks if each.processes]  # the last look may find the driver ended
    half = alive[len(alive) // 2 :]
    print(f"exit code {driver.returncode}, expected {BUDGET_SPENT}: the budget is spent")
    print(f"{len(ended)} jobs: {dict(Counter(each.outcome.status for each in ended))}")
    print(f"{len({each.job for each in ended})} different ones; processes left over: {len(left)}")
    for name in ("driver_mb", "below_mb", "processes", "driver_files", "driver_threads"):
        values = [getattr(each, name) for each in half]
        if values:
            print(f"{name:<15} second half: {values[0]} at first, {values[-1]} at last, {max(values)} at most")
    spent = sum(each.seconds for each in events_of_type(events, TimeSpent))
    print(f"seconds counted {spent:.1f} of {options.hours * 3600:.1f} budgeted")


if __name__ == "__main__":
    main()
