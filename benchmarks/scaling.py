"""What a study costs beside its training as trials and nodes grow, and a model of it on 64 GPUs.

    python -m benchmarks.scaling [--most 10000] [--seconds 2] [--json FILE]

Four parts. (1) Searches without training, up to 10,000 trials: seconds of sampler, scheduler and ledger, in cells of
100 trials and in a single cell, by TPE with successive halving. (2) Studies on Ray clusters of 1, 2 and 4 nodes of two
slots, simulated on this machine by Ray's own means; trials there wait for `--seconds` in place of training, so that
nodes are not told apart by this machine's cores. What counts is time from the first round's end to the last one's.
(3) A pretraining by one worker and by two, each with a thread of its own. (4) From these, what 10,000 trials would take
on 64 GPUs.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from benchmarks import results
from benchmarks.peers import alone
from study.config.definition import Study, load_study
from study.execution import launch, sweep
from study.planning.jobs import Job, Outcome, ResourceRequest
from study.planning.plan import Plan
from study.progress import Progress
from study.scheduling.scheduler import JobScheduler
from study.storage.events import JobFinished, events_of_type
from study.storage.ledger import Ledger, read_ledger
from study.storage.workspace import Workspace

STUDY = Path(__file__).parent / "soak.yaml"
SLOTS = 2
"""Of a simulated node."""

EPOCHS = 4
CELLS = {1: (1, 1), 10: (10, 1), 100: (10, 10)}
"""Levels of two factors, by the number of cells."""

GPUS = 64
LENGTHS = (10.0, 60.0, 600.0)
"""Seconds of a trial's training, in the model."""


@dataclass(frozen=True)
class Bookkeeping:
    """Of a search without training: its trials and cells, and seconds of all its bookkeeping."""

    trials: int
    cells: int
    seconds: float

    @property
    def milliseconds(self) -> float:
        """Of a trial."""
        return 1000 * self.seconds / self.trials


@dataclass(frozen=True)
class OnNodes:
    """Of a study of waiting trials on a simulated cluster.

    Attributes:
        nodes: of `SLOTS` slots each.
        trials: that were run.
        per_hour: trials.
        share: of the slots' time in which a trial waited, which is all that it does.
        driver: seconds of the driver's processor time for a trial.
    """

    nodes: int
    trials: int
    per_hour: float
    share: float
    driver: float


def study_of(cells: int, trials: int, name: str, *sets: str) -> Study:
    """A study with so many cells, and trials in each; nothing is pretrained."""
    fractions, widths = CELLS[cells]
    levels = [round(0.1 * (number + 1), 1) for number in range(fractions)]
    return load_study(
        str(STUDY),
        sets=[
            "factors.pretext.method=[random]",
            f"factors.downstream.label_fraction={levels}",
            f"factors.network.backbone.width={[8 + number for number in range(widths)]}",
            "search.space.pretext.fit.optimizer.lr=null",
            "search.sampler=tpe",
            f"search.trials={trials}",
            "replicates=1",
            *sets,
        ],
        name=name,
    )


def bookkeeping(trials: int, cells: int) -> Bookkeeping:
    """Every job ends as soon as it is given out; some trials are stopped by what they report."""
    study = study_of(cells, trials // cells, "bookkeeping")
    with tempfile.TemporaryDirectory() as made, Progress(Console(quiet=True)) as progress:
        place = Workspace(Path(made))
        datasets = launch.prepare_datasets(study, place, progress)
        plan = Plan(study, lambda settings: next(iter(datasets.values())))
        with contextlib.closing(Ledger(place.study("bookkeeping").ledger, time.time)) as ledger:
            started = time.perf_counter()
            scheduler = JobScheduler(plan, ledger, lambda digest: True)
            while (job := scheduler.next_job(ResourceRequest(cpus=GPUS))) is not None:
                end(scheduler, job)
            return Bookkeeping(trials, cells, time.perf_counter() - started)


def end(scheduler: JobScheduler, job: Job) -> None:
    """A made-up course of training: the nearer the rate to 1e-3 the better."""
    rate = dict(job.params).get("downstream.fit.optimizer.lr", 1e-3)
    reached = 1 - 0.1 * abs(np.log10(rate) + 3)
    for epoch in range(1, EPOCHS + 1):
        metrics = {"val/dice": float(reached * epoch / EPOCHS)}
        if scheduler.report(job.id, epoch, metrics):
            scheduler.finish(job.id, Outcome("stopped", metrics, epoch, 1.0))
            return
    scheduler.finish(job.id, Outcome("completed", metrics, EPOCHS, 1.0))


def waiting(seconds: float) -> Callable[[dict[str, Any]], None]:
    """A trial that waits in place of training, and reports as often as its epochs would.

    All that it needs is inside it, as Ray's processes do not know this module.
    """
    epochs = EPOCHS

    def trial(config: dict[str, Any]) -> None:
        import time
        from dataclasses import asdict

        from study.execution import sweep
        from study.planning.jobs import Outcome
        from trainables.common.files import write_json

        def pretend(job: Any, folder: Any, artifacts: Any, runtime: Any) -> Outcome:
            for epoch in range(1, epochs + 1):
                time.sleep(seconds / epochs)
                runtime.report(epoch, {"val/dice": 0.5, "loss": 1.0 / epoch})
            outcome = Outcome("completed", {"val/dice": 0.5}, epochs, seconds)
            write_json(folder.result, asdict(outcome))
            return outcome

        sweep.execute = pretend
        sweep._trial(config)

    return trial


@contextlib.contextmanager
def cluster_of(nodes: int) -> Iterator[str]:
    """The address of a cluster simulated on this machine."""
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": SLOTS, "object_store_memory": 10**8})
    for _ in range(nodes - 1):
        made.add_node(num_cpus=SLOTS, object_store_memory=10**8)
    made.wait_for_nodes()
    try:
        yield made.address
    finally:
        made.shutdown()


def on_nodes(nodes: int, seconds: float) -> OnNodes:
    """In this process, which should be a fresh one: as many trials for each slot whatever their number."""
    study = study_of(10, 2 * nodes, "scaling", "search.pruner=none")
    sweep._trial = waiting(seconds)
    with cluster_of(nodes) as address, tempfile.TemporaryDirectory() as made:
        place = Workspace(Path(made))
        before = resource.getrusage(resource.RUSAGE_SELF)
        with Progress(Console(quiet=True)) as progress:
            launch.run(study, place, progress, address)
        after = resource.getrusage(resource.RUSAGE_SELF)
        ends = [each.time for each in events_of_type(read_ledger(place.study("scaling").ledger), JobFinished)]
    # The first round waited for processes to start; from its last end on, rounds are whole.
    first = SLOTS * nodes
    per_second = (len(ends) - first) / (ends[-1] - ends[first - 1])
    driver = sum(getattr(after, part) - getattr(before, part) for part in ("ru_utime", "ru_stime"))
    return OnNodes(nodes, len(ends), 3600 * per_second, per_second * seconds / (SLOTS * nodes), driver / len(ends))


def images_per_second(workers: int) -> float:
    """Of a pretraining by so many workers with a thread each, in the best of its epochs."""
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


def modelled(trials: int, length: float, idle: float, driver: float) -> tuple[float, float]:
    """Hours that a study takes on `GPUS` GPUs with one trial each, and the share of them that trains.

    A slot is busy for a trial's training and for `idle` seconds around it; the driver is busy for `driver` seconds a
    trial, one trial after another. The longer of the two is the study's time.
    """
    seconds = max(trials * (length + idle) / GPUS, trials * driver)
    return seconds / 3600, trials * length / GPUS / seconds


def main() -> None:
    """Print each part as it is known."""
    parser = results.parser(__doc__)
    parser.add_argument("--most", type=int, default=10000)
    parser.add_argument("--seconds", type=float, default=2.0)
    options = parser.parse_args()
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    result: dict[str, Any] = {}

    sizes = [(100, 1), (1000, 1), (1000, 10), (10000, 100)]
    searches = [alone(bookkeeping, *each) for each in sizes if each[0] <= options.most]
    print(f"{'trials':>7} {'cells':>6} {'bookkeeping':>12} {'a trial':>9}")
    for each in searches:
        print(f"{each.trials:>7} {each.cells:>6} {each.seconds:10.1f} s {each.milliseconds:6.2f} ms", flush=True)
    result["bookkeeping"] = [asdict(each) for each in searches]

    print(f"\n{'nodes':>6} {'slots':>6} {'trials':>7} {'an hour':>9} {'slots busy':>11} {'driver, a trial':>16}")
    clusters = []
    for nodes in (1, 2, 4):
        found = alone(on_nodes, nodes, options.seconds)
        clusters.append(found)
        head = f"{nodes:>6} {SLOTS * nodes:>6} {found.trials:>7} {found.per_hour:>9,.0f}"
        print(f"{head} {found.share:>11.0%} {1000 * found.driver:>13.0f} ms", flush=True)
    result["clusters"] = [asdict(each) for each in clusters]

    one, two = (alone(images_per_second, workers) for workers in (1, 2))
    print(f"\npretraining: {one:.0f} images a second by one worker, {two:.0f} by two: efficiency {two / one / 2:.0%}")
    result["workers"] = {"one": one, "two": two}

    largest = clusters[-1]
    idle = options.seconds / largest.share - options.seconds
    driver = max(largest.driver, searches[-1].milliseconds / 1000)
    print(f"\n10,000 trials on {GPUS} GPUs, with {idle:.2f} s around a trial and {driver:.3f} s of the driver for it:")
    for length in LENGTHS:
        hours, share = modelled(10000, length, idle, driver)
        print(f"  trials of {length:>4.0f} s: {hours:7.2f} h, of which {share:.0%} training")
    result["model"] = {"idle_s": idle, "driver_s": driver}
    results.write(options.json, result)


if __name__ == "__main__":
    main()
