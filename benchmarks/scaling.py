"""Scaling: overhead of a study by number of trials and nodes, and a model for 64 GPUs.

    python -m benchmarks.scaling [--max-trials 10000] [--seconds 2] [--json FILE]

Six parts. (1) Searches without training, up to 10,000 trials: seconds of sampler, scheduler and ledger, in cells of
100 trials and in a single cell, by TPE with successive halving. (2) Studies on Ray clusters of 1, 2 and 4 nodes of two
slots, simulated on this machine by `ray.cluster_utils`; trials sleep for `--seconds` instead of training, so that this
machine's cores do not limit the result. The time is measured from the end of the first round of trials to the end of
the last. (3) Pretraining with one and with two workers of one thread each. (4) CPU time to plan a study of many cells
and of many trials. (5) CPU time to start from a ledger with many events. (6) An estimate from these figures of the
time for 10,000 trials on 64 GPUs.
"""

from __future__ import annotations

import json
import os
import resource
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks import results
from benchmarks.bookkeeping import EPOCHS, PLANNED, STUDY, bookkeeping, build_study, planning_seconds, start_seconds
from benchmarks.peers import run_in_fresh_process
from benchmarks.simulated_ray import Train, pretending_trial, simulated_cluster
from study.config.definition import load_study
from study.execution import launch, sweep
from study.planning.jobs import Outcome
from study.progress import Progress
from study.storage.events import JobFinished, events_of_type
from study.storage.ledger import read_ledger
from study.storage.workspace import Workspace

SLOTS = 2
"""Slots (concurrent trials) of a simulated node."""

GPUS = 64
LENGTHS = (10.0, 60.0, 600.0)
"""Training times of a trial in the model, in seconds."""


@dataclass(frozen=True)
class ClusterResult:
    """Result of a study of sleeping trials on a simulated cluster.

    Attributes:
        nodes: number of nodes with `SLOTS` slots each.
        trials: number of finished trials.
        per_hour: number of trials per hour.
        busy_share: share of the slots' time (0 to 1) that is spent inside a trial.
        driver: CPU seconds of the driver process per trial.
    """

    nodes: int
    trials: int
    per_hour: float
    busy_share: float
    driver: float


def sleeping(seconds: float) -> Train:
    """Return a training that only sleeps, and reports once per epoch."""
    epochs = EPOCHS

    def train(job: Any, runtime: Any) -> Outcome:
        for epoch in range(1, epochs + 1):
            time.sleep(seconds / epochs)
            runtime.report(epoch, {"val/dice": 0.5, "loss": 1.0 / epoch})
        return Outcome("completed", {"val/dice": 0.5}, epochs, seconds)

    return train


def run_on_cluster(nodes: int, seconds: float) -> ClusterResult:
    """Run a study on a simulated cluster with equally many trials per slot; call it in a fresh process."""
    study = build_study(10, 2 * nodes, "scaling", "search.pruner=none")
    sweep.run_trial = pretending_trial(sleeping(seconds))
    with simulated_cluster(nodes, SLOTS) as address, tempfile.TemporaryDirectory() as made:
        place = Workspace(Path(made))
        before = resource.getrusage(resource.RUSAGE_SELF)
        with Progress(Console(quiet=True)) as progress:
            launch.run(study, place, progress, address)
        after = resource.getrusage(resource.RUSAGE_SELF)
        ends = [each.time for each in events_of_type(read_ledger(place.study("scaling").ledger), JobFinished)]
    # Exclude the first round of trials, which includes the start-up of worker processes.
    first = SLOTS * nodes
    per_second = (len(ends) - first) / (ends[-1] - ends[first - 1])
    driver = sum(getattr(after, part) - getattr(before, part) for part in ("ru_utime", "ru_stime"))
    return ClusterResult(
        nodes, len(ends), 3600 * per_second, per_second * seconds / (SLOTS * nodes), driver / len(ends)
    )


def images_per_second(workers: int) -> float:
    """Return the images per second of the best epoch of pretraining with single-threaded workers."""
    study = load_study(
        str(STUDY),
        sets=[
            "factors.pretext.method=[simclr]",
            "factors.downstream.label_fraction=[1.0]",
            "network.backbone.width=32",
            "data.image_size=64",
            "pretext.fit.epochs=4",
            "pretext.fit.batch_size=32",
            "pretext.fit.steps_per_epoch=8",
            "downstream.fit.epochs=1",
            "search.space.pretext.fit.optimizer.lr=null",
            "search.pruner=none",
            "search.trials=1",
            "replicates=1",
            f"resources.pretext.workers={workers}",
        ],
        name="workers",
    )
    with tempfile.TemporaryDirectory() as made:
        place = Workspace(Path(made))
        with Progress(Console(quiet=True)) as progress:
            launch.run(study, place, progress)
        folder = place.study("workers")
        (job,) = {
            each.job for each in events_of_type(read_ledger(folder.ledger), JobFinished) if each.kind == "pretext"
        }
        rows = [json.loads(line)["metrics"] for line in folder.job(job).metrics.read_text().splitlines()]
    return max(float(row["images_per_second"]) for row in rows)


def estimate_hours(trials: int, length: float, idle: float, driver: float) -> tuple[float, float]:
    """Estimate the hours of a study on `GPUS` GPUs with one trial each, and the share of them spent training.

    A slot is busy for a trial's training and for `idle` seconds around it; the driver is busy for `driver` seconds a
    trial, one trial after another. The longer of the two is the study's time.
    """
    seconds = max(trials * (length + idle) / GPUS, trials * driver)
    return seconds / 3600, trials * length / GPUS / seconds


def main() -> None:
    """Run every part and print its results."""
    parser = results.parser(__doc__)
    parser.add_argument("--max-trials", type=int, default=10000, help="largest search to measure")
    parser.add_argument("--seconds", type=float, default=2.0, help="seconds that a simulated trial waits")
    options = parser.parse_args()
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    result: dict[str, Any] = {}

    sizes = [(100, 1), (1000, 1), (1000, 10), (10000, 100), (10000, 1)]
    searches = [run_in_fresh_process(bookkeeping, *each) for each in sizes if each[0] <= options.max_trials]
    print(f"{'trials':>7} {'cells':>6} {'bookkeeping':>12} {'per trial':>9}")
    for each in searches:
        print(f"{each.trials:>7} {each.cells:>6} {each.seconds:10.1f} s {each.milliseconds:6.2f} ms", flush=True)
    result["bookkeeping"] = [asdict(each) for each in searches]

    print(f"\n{'nodes':>6} {'slots':>6} {'trials':>7} {'per hour':>9} {'slots busy':>11} {'driver per trial':>16}")
    clusters = []
    for nodes in (1, 2, 4):
        found = run_in_fresh_process(run_on_cluster, nodes, options.seconds)
        clusters.append(found)
        head = f"{nodes:>6} {SLOTS * nodes:>6} {found.trials:>7} {found.per_hour:>9,.0f}"
        print(f"{head} {found.busy_share:>11.0%} {1000 * found.driver:>13.0f} ms", flush=True)
    result["clusters"] = [asdict(each) for each in clusters]

    one, two = (run_in_fresh_process(images_per_second, workers) for workers in (1, 2))
    rates = f"{one:.0f} images per second with one worker, {two:.0f} with two"
    print(f"\npretraining: {rates}: efficiency {two / one / 2:.0%}")
    result["workers"] = {"one": one, "two": two}

    plans = [(cells, trials, run_in_fresh_process(planning_seconds, cells, trials)) for cells, trials in PLANNED]
    print()
    for cells, trials, seconds in plans:
        print(f"plan of {cells:,} cells and {trials:,} trials each: {seconds:.1f} s of CPU")
    events = options.max_trials * 10
    read, first = run_in_fresh_process(start_seconds, events)
    print(f"start from {events:,} events: {read:.1f} s of CPU, and {first:.1f} s more for ten searches that go on")
    result["plans"], result["start"] = plans, {"events": events, "read_s": read, "first_job_s": first}

    largest = clusters[-1]
    idle = options.seconds / largest.busy_share - options.seconds
    driver = max(largest.driver, searches[-1].milliseconds / 1000)
    print(
        f"\n10,000 trials on {GPUS} GPUs, with {idle:.2f} s of idle time and {driver:.3f} s of driver time per trial:"
    )
    for length in LENGTHS:
        hours, share = estimate_hours(10000, length, idle, driver)
        print(f"  trials of {length:>4.0f} s: {hours:7.2f} h, of which {share:.0%} training")
    result["model"] = {"idle_s": idle, "driver_s": driver}
    results.write(options.json, result)


if __name__ == "__main__":
    main()
