"""Book-keeping of a study without training: searches, plans of many cells, and the start from a long ledger."""

from __future__ import annotations

import contextlib
import math
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console

from study.cli.console import PIPE_WIDTH
from study.cli.plan import show_plan
from study.config.definition import Study, load_study
from study.execution import launch
from study.planning.calibration import Calibration
from study.planning.datasets import prepared_in
from study.planning.estimate import estimate
from study.planning.jobs import Job, Outcome, ResourceRequest
from study.planning.plan import Plan
from study.progress import Progress
from study.scheduling.scheduler import JobScheduler
from study.storage.ledger import Ledger
from study.storage.workspace import Workspace

STUDY = Path(__file__).parent / "soak.yaml"
PLENTY = ResourceRequest(cpus=64)
EPOCHS = 4
CELLS = {1: (1, 1), 10: (10, 1), 100: (10, 10)}
"""Levels of two factors, by the number of cells."""

METHODS = ["random", "simclr"]

PLANNED = ((2_048, 0), (10_000, 0), (1, 990), (1, 10_000))
"""(Cells, trials of each) of the studies that are planned."""


@dataclass(frozen=True)
class Bookkeeping:
    """Bookkeeping time of a search without training."""

    trials: int
    cells: int
    seconds: float

    @property
    def milliseconds(self) -> float:
        """Bookkeeping time per trial in milliseconds."""
        return 1000 * self.seconds / self.trials


def build_study(cells: int, trials: int, name: str, *sets: str) -> Study:
    """Load a study with `cells` cells of `trials` trials each, without pretraining."""
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
    """Run a search whose jobs finish at once, some stopped by the pruner, and time its bookkeeping."""
    study = build_study(cells, trials // cells, "bookkeeping")
    with tempfile.TemporaryDirectory() as made, Progress(Console(quiet=True)) as progress:
        place = Workspace(Path(made))
        datasets = launch.prepare_datasets(study, place, progress)
        plan = Plan(study, lambda settings: next(iter(datasets.values())))
        with contextlib.closing(Ledger(place.study("bookkeeping").ledger, time.time)) as ledger:
            started = time.perf_counter()
            scheduler = JobScheduler(plan, ledger, lambda digest: True)
            while (job := scheduler.next_job(PLENTY)) is not None:
                finish_job(scheduler, job)
            return Bookkeeping(trials, cells, time.perf_counter() - started)


def planning_seconds(cells: int, trials: int) -> float:
    """Return the CPU seconds of `study plan` without its measurement, of cells without search or of one search."""
    pairs = cells // len(METHODS)
    side = max((count for count in range(1, math.isqrt(pairs) + 1) if pairs % count == 0), default=1)
    fractions = [round((number + 1) / side, 6) for number in range(side)]
    rates = [round(1e-5 * (number + 1), 8) for number in range(pairs // side)]
    search = [f"search.trials={trials}"] if trials else ["search.space=null"]
    factors = [
        f"factors.pretext.method={METHODS}",
        f"factors.downstream.label_fraction={fractions}",
        f"factors.downstream.fit.optimizer.lr={rates}",
    ]
    with tempfile.TemporaryDirectory() as made:
        place = Workspace(Path(made))
        warm = load_study(str(STUDY), sets=["factors=null", "search.space=null"], name="warm")
        launch.prepare_datasets(warm, place, Progress(Console(quiet=True)))
        rates_of = Calibration(place.calibration)
        estimate(Plan(warm, prepared_in(place)), rates_of)
        started = time.process_time()
        sets = [*(["factors=null"] if trials else factors), *search, "replicates=1"]
        out = Console(quiet=True, width=PIPE_WIDTH)
        study = load_study(str(STUDY), sets=sets, name="many")
        show_plan(study, place, rates_of, out, as_json=False)
        seconds = time.process_time() - started
    if len(study.cells()) != cells:
        raise AssertionError(f"planned {len(study.cells())} cells, expected {cells}")
    return seconds


def start_seconds(events: int) -> tuple[float, float]:
    """Return the CPU seconds in which a driver reads a ledger, and in which it then finds its first job.

    The ledger was left in the middle of ten searches, all of which have to be rebuilt for the first job.

    Args:
        events: number of events in the ledger.
    """
    unpruned = ("search.sampler=random", "search.pruner=none")
    study = build_study(10, events // 10, "start", *unpruned)
    with tempfile.TemporaryDirectory() as made, Progress(Console(quiet=True)) as progress:
        place = Workspace(Path(made))
        datasets = launch.prepare_datasets(study, place, progress)
        plan = Plan(study, lambda settings: next(iter(datasets.values())))
        path = place.study("start").ledger
        with contextlib.closing(Ledger(path, time.time)) as ledger:
            scheduler = JobScheduler(plan, ledger, lambda digest: True)
            while len(ledger.events) < events and (job := scheduler.next_job(PLENTY)) is not None:
                finish_job(scheduler, job)
        started = time.process_time()
        with contextlib.closing(Ledger(path, time.time)) as ledger:
            scheduler = JobScheduler(plan, ledger, lambda digest: True)
            read = time.process_time()
            if scheduler.next_job(PLENTY) is None:
                raise AssertionError("nothing is left to run")
            return read - started, time.process_time() - read


def finish_job(scheduler: JobScheduler, job: Job) -> None:
    """Report synthetic metrics, best for a learning rate of 1e-3, and finish the job."""
    rate = dict(job.params).get("downstream.fit.optimizer.lr", 1e-3)
    reached = 1 - 0.1 * abs(np.log10(rate) + 3)
    for epoch in range(1, EPOCHS + 1):
        metrics = {"val/dice": float(reached * epoch / EPOCHS)}
        if scheduler.report(job.id, epoch, metrics):
            scheduler.finish(job.id, Outcome("stopped", metrics, epoch, 1.0))
            return
    scheduler.finish(job.id, Outcome("completed", metrics, EPOCHS, 1.0))
