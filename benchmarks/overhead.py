"""Trial overhead: time of a study's trial beyond its training.

`python -m benchmarks.overhead [--trials 12]` runs a study of one cell with sequential trials, and then repeats
the same training runs by direct calls in this process. It prints medians over all but the first trial.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from rich.console import Console

from benchmarks import results
from study.config.definition import load_study
from study.execution.launch import prepare_datasets
from study.planning.plan import Plan
from study.progress import Progress
from study.storage.events import JobFinished, events_of_type
from study.storage.ledger import read_ledger
from study.storage.workspace import Workspace
from trainables.data.store.frames import FrameStore
from trainables.downstream.finetune import finetune
from trainables.engine.runtime import LocalRuntime, use_threads

STUDY = Path(__file__).parent / "soak.yaml"
TARGET = 1.5
"""Target for the overhead in seconds per trial, on two cores."""


def overrides(trials: int) -> list[str]:
    """Return study-file overrides for one cell without pruning or pretraining."""
    return [
        "factors.pretext.method=[random]",
        "factors.downstream.label_fraction=[1.0]",
        "search.space.pretext.fit.optimizer.lr=null",
        "search.pruner=none",
        f"search.trials={trials}",
        "replicates=1",
    ]


def trial_seconds(root: Path, trials: int) -> list[float]:
    """Run the study and return the seconds between the ends of successive trials."""
    words = [word for each in overrides(trials) for word in ("--set", each)]
    command = [sys.executable, "-m", "study", "run", str(STUDY), "--name", "overhead", "--workspace", str(root), *words]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    events = events_of_type(read_ledger(Workspace(root).study("overhead").ledger), JobFinished)
    ends = [event.time for event in events if event.kind == "trial"]
    return [float(step) for step in np.diff(ends)]


def bare_seconds(root: Path, trials: int) -> list[float]:
    """Repeat the study's training runs by direct calls with one thread and return their seconds."""
    study, place = load_study(str(STUDY), sets=overrides(trials), name="overhead"), Workspace(root)
    with Progress(Console(stderr=True)) as progress:
        (dataset,) = prepare_datasets(study, place, progress).values()
    plan, store = Plan(study), FrameStore.open(Path(dataset.folder))
    events = events_of_type(read_ledger(place.study("overhead").ledger), JobFinished)
    use_threads(1)
    found = []
    for event in events:
        if event.kind != "trial":
            continue
        spec = plan.resolve(event.cell, event.params)
        started = time.perf_counter()
        finetune(spec.downstream, spec.network, None, store, LocalRuntime(), seed=0)
        found.append(time.perf_counter() - started)
    return found[1:]


def main() -> None:
    """Measure both and print the overhead next to its target."""
    parser = results.parser(__doc__)
    parser.add_argument("--trials", type=int, default=12, help="number of trials")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        trial = float(np.median(trial_seconds(Path(folder), options.trials)))
        bare = float(np.median(bare_seconds(Path(folder), options.trials)))
    result = {"trial_s": trial, "bare_s": bare, "overhead_s": trial - bare, "target_s": TARGET}
    print(f"a trial {trial:.3f} s, its training {bare:.3f} s: overhead {trial - bare:.3f} s, target {TARGET} s")
    results.write(options.json, result)


if __name__ == "__main__":
    main()
