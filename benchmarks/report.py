"""Time and memory of the report on a large study.

`python -m benchmarks.report [--jobs 7000] [--replicates 80]` writes a finished study of so many jobs on a few generated
images, and runs `study report` on it in a process of its own.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import results
from study.storage.events import JobFinished
from study.storage.workspace import StudyFolder
from tests.fake_results import FakeStudy, finished

TARGET_SECONDS, TARGET_GIGABYTES = 30, 2

SPACE = {
    "downstream.fit.optimizer.lr": {"name": "loguniform", "low": 1e-5, "high": 1e-1},
    "downstream.augment.strength": {"name": "uniform", "low": 0.0, "high": 1.0},
    "downstream.fit.batch_size": {"name": "choice", "values": [4, 8, 16, 32]},
    "downstream.fit.optimizer.weight_decay": {"name": "loguniform", "low": 1e-6, "high": 1e-2},
    "downstream.transfer.backbone_rate": {"name": "uniform", "low": 0.0, "high": 1.0},
}


@dataclass(frozen=True)
class LargeStudy(FakeStudy):
    """Finished study whose trials draw five settings at random."""

    def plan(self, frames: Path) -> dict[str, Any]:
        """Return the plan with the search space."""
        return {**super().plan(frames), "spec": {"search": {"sampler": "tpe", "trials": self.trials, "space": SPACE}}}

    def search(self, method: str, fraction: str) -> Iterator[JobFinished]:
        """Yield the trials of one cell; the learning rate alone decides how good they are."""
        random = np.random.default_rng([self.methods.index(method), self.fractions.index(fraction)])
        cell = f"method={method},label_fraction={fraction}"
        for index in range(self.trials):
            rate, decay = 10 ** random.uniform(-5, -1), 10 ** random.uniform(-6, -2)
            values = (rate, random.random(), int(random.choice([4, 8, 16, 32])), decay, random.random())
            status = "stopped" if random.random() < 0.4 else "completed"
            dice = 0.8 - 0.03 * (np.log10(rate) + 3) ** 2 + 0.01 * random.normal()
            params = dict(zip(SPACE, values, strict=True))
            yield finished(
                f"{method}-{fraction}-trial-{index}", "trial", cell, index, status, {"val/dice": dice}, params
            )


def write_study(root: Path, jobs: int, replicates: int) -> StudyFolder:
    """Write a study of three starts at four amounts of labels with so many trials and replicates in all."""
    cells = 12
    trials = (jobs - 2) // cells - replicates
    study = LargeStudy(fractions=("0.05", "0.1", "0.25", "1"), replicates=replicates, subjects=40, trials=trials)
    return study.write(root)


def main() -> None:
    """Measure the report next to its targets."""
    parser = results.parser(__doc__)
    parser.add_argument("--jobs", type=int, default=7000, help="number of jobs of the study")
    parser.add_argument("--replicates", type=int, default=80, help="replicates of each of the 12 cells")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        folder = write_study(Path(root), options.jobs, options.replicates)
        command = [sys.executable, "-m", "study", "report", folder.name, "--workspace", root]
        started = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        seconds = time.perf_counter() - started
        page = (folder.report / "report.html").stat().st_size / 1e6
    gigabytes = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
    found = {"jobs": options.jobs, "seconds": seconds, "gigabytes": gigabytes, "page_megabytes": page}
    print(
        f"report on {options.jobs:,} jobs: {seconds:.1f} s (target {TARGET_SECONDS} s), "
        f"{gigabytes:.2f} GB (target {TARGET_GIGABYTES} GB), a page of {page:.1f} MB"
    )
    results.write(options.json, found)


if __name__ == "__main__":
    main()
