"""Search: trials side by side on a virtual clock, beside a sequential and an asynchronous search.

    python -m benchmarks.search [--seeds 60] [--trials 30] [--json FILE]

Simulated trials of one cell, without training: 27 epochs whose lengths differ between trials (log-normal, sigma 0.3),
an objective of four settings with a cliff and a noisy learning curve, TPE with 10 random trials first, without pruning
and with successive halving (3 and 9 of 27 epochs). The sequential search and the virtual clock are the product's own
scheduler with its ledger; the asynchronous search asks Optuna whenever a slot is free, as Ray Tune with Optuna does,
decides at each report by what has arrived, and loses no time between trials. Sampler and pruner are the same, and all
seeds are paired.

Printed for each schedule: true value of the chosen trial minus that of the sequential search (mean and standard error),
speed-up over it, share of the slots' time that is busy, and epochs trained. Then one cell of 100 trials on 16 slots:
throughput against the asynchronous search, and the chosen trial in five repetitions with other epoch lengths, one of
them killed and resumed twice, one on 8 slots.
"""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna

from benchmarks import results
from study.config.definition import Study, load_study
from study.config.search import SearchSpec
from study.planning.jobs import Outcome, ResourceRequest
from study.planning.plan import Plan
from study.scheduling.objectives import OBJECTIVE
from study.scheduling.pruning import build_pruner
from study.scheduling.samplers import build_distribution, build_sampler
from study.scheduling.scheduler import JobScheduler
from study.storage.events import ConfigurationChosen, Event, events_of_type
from trainables.common.seeds import derive

STUDY = Path(__file__).parent / "soak.yaml"
EPOCHS, STARTUP = 27, 10
SPACE = {
    "downstream.fit.optimizer.lr": ("loguniform", 1e-4, 1e-1),
    "downstream.fit.optimizer.weight_decay": ("loguniform", 1e-6, 1e-2),
    "downstream.fit.clip_norm": ("loguniform", 0.1, 10.0),
    "downstream.augment.strength": ("uniform", 0.0, 1.0),
}
BEST, WEIGHTS, CLIFF = (0.6, 0.3, 0.5, 0.7), (0.8, 0.2, 0.1, 0.4), 0.75
PRUNERS = {"no pruning": "{name: none}", "ASHA": "{name: asha, min_epochs: 3, reduction: 3}"}
SCHEDULES = ((8, 8), (8, 4), (16, 16))
"""Workers of the virtual clock and slots."""

UNLIMITED = ResourceRequest(cpus=1e9)


@dataclass(frozen=True)
class Run:
    """One simulated search.

    Attributes:
        chosen: number of the chosen trial.
        value: its true value.
        hours: time from the first to the last epoch, in epochs of mean length.
        busy: share of the slots' time that is busy.
        epochs: epochs trained in all trials.
    """

    chosen: int
    value: float
    hours: float
    busy: float
    epochs: int


def true_value(params: Mapping[str, Any]) -> float:
    """Return the value of a configuration: a bowl of four settings that falls off a cliff at high learning rates."""
    shares = []
    for path, (kind, low, high) in SPACE.items():
        value = params[path]
        share = math.log(value / low) / math.log(high / low) if kind == "loguniform" else (value - low) / (high - low)
        shares.append(share)
    loss = sum(w * (share - best) ** 2 for w, share, best in zip(WEIGHTS, shares, BEST, strict=True))
    return 0.2 if shares[0] > CLIFF else 0.9 - loss


def reported(params: Mapping[str, Any], epoch: int) -> float:
    """Return the metric after an epoch, whose noise depends on the configuration and the epoch alone."""
    noise = random.Random(f"{sorted(params.items())} {epoch}").gauss(0, 0.01)
    return true_value(params) * (1 - math.exp(-epoch / 6)) + noise


def length(seed: int, trial: int) -> float:
    """Return the time of one epoch of a trial."""
    return random.Random(f"{seed} {trial}").lognormvariate(0.0, 0.3)


def study_of(trials: int, parallel: int, pruner: str, seed: int, *sets: str) -> Study:
    """Return a study of one cell that searches."""
    space = {path: f"{{{kind}: [{low}, {high}]}}" for path, (kind, low, high) in SPACE.items()}
    own = [
        "factors.pretext.method=[random]",
        "factors.downstream.label_fraction=[1.0]",
        "search.space=null",
        *(f"search.space.{path}={choice}" for path, choice in space.items()),
        f"downstream.fit.epochs={EPOCHS}",
        "search.sampler=tpe",
        f"search.startup_trials={STARTUP}",
        f"search.trials={trials}",
        f"search.parallel={parallel}",
        f"search.pruner={pruner}",
        "replicates=1",
        f"seed={seed}",
    ]
    return load_study(str(STUDY), sets=[*own, *sets], name="search")


def plan_of(trials: int, parallel: int, pruner: str, seed: int) -> Plan:
    """Return the plan of one cell that searches."""
    return Plan(study_of(trials, parallel, pruner, seed))


class MemoryLedger:
    """Ledger that is kept in memory."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def append(self, event: Any) -> Any:
        """Keep an event, which has no time here."""
        self.events.append(event)
        return event


def clocked(plan: Plan, slots: int, lengths: int, kills: tuple[int, ...] = ()) -> Run:
    """Run the product's search on a number of slots.

    Args:
        plan: plan of one cell.
        slots: number of trials that train at the same time.
        lengths: seed of the epochs' lengths.
        kills: numbers of reports after which the driver is killed and resumed; running trials go on.
    """
    ledger, reports, epochs, busy, now = MemoryLedger(), 0, 0, 0.0, 0.0
    scheduler = JobScheduler(plan, ledger, lambda digest: True)
    events: list[tuple[float, int, str, int]] = []
    while True:
        while len(scheduler.running) < slots and (job := scheduler.next_job(UNLIMITED)) is not None:
            if job.kind == "replicate":
                scheduler.finish(job.id, Outcome("completed", {OBJECTIVE: 0.0}, 1, 0.0))
                continue
            heapq.heappush(events, (now + length(lengths, job.index), job.index, job.id, 1))
        if not events:
            break
        now, index, name, epoch = heapq.heappop(events)
        job = scheduler.running[name]
        reports, epochs, busy = reports + 1, epochs + 1, busy + length(lengths, index)
        metrics = {OBJECTIVE: reported(job.params, epoch)}
        if scheduler.report(name, epoch, metrics):
            scheduler.finish(name, Outcome("stopped", metrics, epoch, 0.0))
        elif epoch == EPOCHS:
            scheduler.finish(name, Outcome("completed", metrics, epoch, 0.0))
        else:
            heapq.heappush(events, (now + length(lengths, index), index, name, epoch + 1))
        if reports in kills:
            resumed = JobScheduler(plan, ledger, lambda digest: True)
            resumed.running |= scheduler.running
            scheduler = resumed
    choice = next(events_of_type(ledger.events, ConfigurationChosen))
    assert choice.index is not None
    return Run(choice.index, true_value(choice.params), now, busy / (now * slots), epochs)


def asynchronous(spec: SearchSpec, trials: int, slots: int, seed: int, lengths: int) -> Run:
    """Run Optuna's search as Ray Tune does: ask whenever a slot is free, and prune by what has arrived."""
    study = optuna.create_study(study_name="cell", direction="maximize", pruner=build_pruner(spec.pruner))
    space = {path: build_distribution(choice) for path, choice in spec.space.items()}
    running: dict[int, optuna.Trial] = {}
    values: dict[int, float] = {}
    events: list[tuple[float, int, int]] = []
    asked, epochs, busy, now = 0, 0, 0.0, 0.0
    while True:
        while len(running) < slots and asked < trials:
            study.sampler = build_sampler(spec, derive(seed, "ask", asked))
            running[asked] = study.ask(space)
            heapq.heappush(events, (now + length(lengths, asked), asked, 1))
            asked += 1
        if not events:
            break
        now, index, epoch = heapq.heappop(events)
        trial = running[index]
        epochs, busy = epochs + 1, busy + length(lengths, index)
        value = reported(trial.params, epoch)
        trial.report(value, epoch)
        if epoch < EPOCHS and trial.should_prune():
            study.tell(running.pop(index), state=optuna.trial.TrialState.PRUNED)
        elif epoch == EPOCHS:
            values[index] = value
            study.tell(running.pop(index), value)
        else:
            heapq.heappush(events, (now + length(lengths, index), index, epoch + 1))
    best = max(sorted(values), key=values.__getitem__)
    return Run(best, true_value(study.trials[best].params), now, busy / (now * slots), epochs)


def compared(name: str, runs: list[Run], sequential: list[Run]) -> dict[str, Any]:
    """Print one schedule beside the sequential search, and return its figures."""
    gains = np.array([run.value - other.value for run, other in zip(runs, sequential, strict=True)])
    speed = float(np.mean([other.hours / run.hours for run, other in zip(runs, sequential, strict=True)]))
    busy, epochs = float(np.mean([run.busy for run in runs])), float(np.mean([run.epochs for run in runs]))
    error = float(gains.std(ddof=1) / math.sqrt(len(gains))) if len(gains) > 1 else math.nan
    print(f"{name:<38} {gains.mean():+.4f} +- {error:.4f} {speed:9.2f}x {busy:10.0%} {epochs:8.0f}", flush=True)
    return {
        "schedule": name,
        "gain": float(gains.mean()),
        "error": error,
        "speed": speed,
        "busy": busy,
        "epochs": epochs,
    }


def schedules(trials: int, seeds: int) -> list[dict[str, Any]]:
    """Print and return all schedules with each pruner."""
    rows = []
    for title, pruner in PRUNERS.items():
        print(f"\n{title:<38} {'value':>17} {'speed-up':>10} {'slots busy':>10} {'epochs':>8}")
        plans: dict[int, Callable[[int], Plan]] = {
            k: (lambda seed, k=k, pruner=pruner: plan_of(trials, k, pruner, seed)) for k in (1, 8, 16)
        }
        sequential = [clocked(plans[1](seed), 1, seed) for seed in range(seeds)]
        rows.append(compared("sequential", sequential, sequential))
        for k, slots in SCHEDULES:
            runs = [clocked(plans[k](seed), slots, seed) for seed in range(seeds)]
            rows.append(compared(f"virtual clock, {k} workers, {slots} slots", runs, sequential))
        for slots in (4, 8, 16):
            spec = plans[1](0).search(plans[1](0).cells[0].key)
            runs = [asynchronous(spec, trials, slots, derive(seed, "sampler"), seed) for seed in range(seeds)]
            rows.append(compared(f"asynchronous, {slots} slots", runs, sequential))
    return rows


def repetitions(pruner: str) -> dict[str, Any]:
    """Run one cell of 100 trials on 16 slots five times, and an asynchronous search of the same cell."""
    plan = plan_of(100, 32, pruner, 0)
    runs = [
        clocked(plan, 16, 1),
        clocked(plan, 16, 2),
        clocked(plan, 16, 3, kills=(300, 700)),
        clocked(plan, 8, 4),
        clocked(plan, 16, 5),
    ]
    spec = plan.search(plan.cells[0].key)
    peers = [asynchronous(spec, 100, 16, derive(0, "sampler"), seed) for seed in (1, 2, 3, 5)]
    ours = [run for number, run in enumerate(runs) if number != 3]
    throughput = float(np.mean([peer.hours / run.hours for run, peer in zip(ours, peers, strict=True)]))
    chosen = [run.chosen for run in runs]
    print(f"  chosen trial: {chosen} (asynchronous: {[peer.chosen for peer in peers]})")
    print(f"  throughput: {throughput:.0%} of the asynchronous search's on 16 slots", flush=True)
    return {"chosen": chosen, "throughput": throughput}


def main() -> None:
    """Run every part and print its results."""
    parser = results.parser(__doc__)
    parser.add_argument("--seeds", type=int, default=60, help="paired searches of each schedule")
    parser.add_argument("--trials", type=int, default=30, help="trials of each search")
    options = parser.parse_args()
    found: dict[str, Any] = {"schedules": schedules(options.trials, options.seeds)}
    for title, pruner in PRUNERS.items():
        print(f"\n100 trials of one cell, virtual clock with 32 workers, {title}:")
        found[title] = repetitions(pruner)
    results.write(options.json, found)


if __name__ == "__main__":
    main()
