"""Search on Ray: the product's driver beside Ray Tune's asynchronous search with Optuna, on 16 slots in real time.

    python -m benchmarks.search_ray [--seconds 6] [--trials 100] [--slots 16] [--json FILE]

The simulated trials of `benchmarks.search`, but the trials sleep, on a Ray cluster of this machine with `--slots`
logical CPUs: 27 epochs whose lengths differ between trials, with a report after every third. The product runs its
whole driver: scheduler with a virtual clock of twice as many workers as slots, ledger and tracking. Ray Tune runs
`OptunaSearch` with the same sampler and, where trials are pruned, its `ASHAScheduler` with the same rungs. Both
append the time of every epoch to a file.

Printed for each: trials per hour from the moment at which all slots are in use to the end of the last trial, the share
of the slots' time in this span that is slept, epochs trained, number and true value of the chosen trial; then the ratio
of the throughputs. It takes several minutes on two cores.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks import results, search
from benchmarks.peers import run_in_fresh_process
from benchmarks.simulated_ray import Train, pretending_trial, simulated_cluster
from study.config.search import SearchSpec
from study.execution import launch, sweep
from study.planning.jobs import Outcome
from study.progress import Progress
from study.scheduling.samplers import build_distribution, build_sampler
from study.storage.events import ConfigurationChosen, events_of_type
from study.storage.ledger import read_ledger
from study.storage.workspace import Workspace
from trainables.common.seeds import derive

EVERY = 3
"""Epochs from one report to the next."""

LENGTHS = 1
"""Seed of the epochs' lengths."""

Report = Callable[[int, float], None]
"""Function that reports the metric after an epoch, and raises if the trial is stopped."""


@dataclass(frozen=True)
class RealRun:
    """One search in real time.

    Attributes:
        per_hour: trials that ended per hour of the span in which all slots are available.
        busy: share of the slots' time in that span that is slept.
        epochs: epochs trained in all trials.
        chosen: number of the chosen trial.
        value: its true value.
    """

    per_hour: float
    busy: float
    epochs: int
    chosen: int
    value: float


def sleep_epochs(index: int, params: Mapping[str, Any], unit: float, log: str, report: Report) -> None:
    """Sleep as long as a trial trains, and report its metrics.

    Args:
        index: number of the trial.
        params: its configuration.
        unit: seconds of an epoch of mean length.
        log: file to which "trial time" is appended at the start and after every epoch.
        report: function that reports a metric.
    """
    for epoch in range(search.EPOCHS + 1):
        if epoch:
            time.sleep(search.length(LENGTHS, index) * unit)
        with Path(log).open("a") as file:
            file.write(f"{index} {time.time()}\n")
        if epoch and epoch % EVERY == 0:
            report(epoch, search.reported(params, epoch))


def ours(pruner: str, trials: int, slots: int, unit: float) -> RealRun:
    """Run the product's driver; call it in a fresh process."""
    every = f"downstream.fit.evaluate_every={EVERY}"
    study = search.study_of(trials, 2 * slots, pruner, 0, every, f"resources.max.cpus={slots}")
    with tempfile.TemporaryDirectory() as made, simulated_cluster(1, slots) as address:
        place, log = Workspace(Path(made)), Path(made) / "epochs.txt"
        send_by_value()
        sweep.run_trial = pretending_trial(sleeping(unit, str(log)))
        with Progress(Console(quiet=True)) as progress:
            launch.run(study, place, progress, address)
        choice = next(events_of_type(read_ledger(place.study("search").ledger), ConfigurationChosen))
        assert choice.index is not None
        return measured(log, slots, choice.index, search.true_value(choice.params))


def sleeping(unit: float, log: str) -> Train:
    """Return a training that only sleeps; replicates end at once."""

    def train(job: Any, runtime: Any) -> Outcome:
        last = {"val/dice": 0.0}

        def report(epoch: int, value: float) -> None:
            last["val/dice"] = value
            runtime.report(epoch, {**last, "loss": 0.0})

        if job.kind == "trial":
            sleep_epochs(job.index, job.params, unit, log, report)
        return Outcome("completed", last, job.epochs, 1.0)

    return train


def ray_tunes(pruner: str, trials: int, slots: int, unit: float) -> RealRun:
    """Run Ray Tune's asynchronous search; call it in a fresh process."""
    study = search.study_of(trials, 1, pruner, 0)
    spec = study.spec.search
    with tempfile.TemporaryDirectory() as made, simulated_cluster(1, slots) as address:
        import ray
        from ray import tune
        from ray.tune.schedulers import ASHAScheduler

        send_by_value()
        ray.init(address, log_to_driver=False, logging_level="ERROR")
        log = Path(made) / "epochs.txt"

        def sleeping(config: dict[str, Any]) -> None:
            values = dict(config)
            index = values.pop("index")
            sleep_epochs(
                index, values, unit, str(log), lambda epoch, value: tune.report({"epoch": epoch, "dice": value})
            )

        rungs = ASHAScheduler(time_attr="epoch", max_t=search.EPOCHS, grace_period=3, reduction_factor=3)
        found = tune.Tuner(
            sleeping,
            tune_config=tune.TuneConfig(
                metric="dice",
                mode="max",
                search_alg=numbered(spec),
                scheduler=rungs if "asha" in pruner else None,
                num_samples=trials,
                max_concurrent_trials=slots,
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(name="search", storage_path=str(Path(made) / "tune"), verbose=0),
        ).fit()
        complete = [each for each in found if each.metrics and each.metrics.get("epoch") == search.EPOCHS]
        best = max(complete, key=lambda each: float((each.metrics or {})["dice"]))
        params = dict(best.config or {})
        return measured(log, slots, params.pop("index"), search.true_value(params))


def numbered(spec: SearchSpec) -> Any:
    """Return Ray Tune's search by Optuna, which adds the number of the trial to each configuration."""
    from ray.tune.search.optuna import OptunaSearch

    class Numbered(OptunaSearch):
        count = 0

        def suggest(self, trial_id: str) -> dict[str, Any] | None:
            params = super().suggest(trial_id)
            if params is None:
                return None
            self.count += 1
            return {**params, "index": self.count - 1}

    space = {path: build_distribution(choice) for path, choice in spec.space.items()}
    sampler = build_sampler(spec, derive(0, "sampler"))
    return Numbered(space=space, metric="dice", mode="max", sampler=sampler)


def send_by_value() -> None:
    """Send the functions of these modules to Ray's worker processes by value, as they cannot import the benchmarks."""
    from ray import cloudpickle

    for module in (search, sys.modules[__name__]):
        cloudpickle.register_pickle_by_value(module)


def measured(log: Path, slots: int, chosen: int, value: float) -> RealRun:
    """Return the figures of a search from the times of its epochs."""
    times: dict[int, list[float]] = {}
    for line in log.read_text().splitlines():
        index, moment = line.split()
        times.setdefault(int(index), []).append(float(moment))
    begin = sorted(each[0] for each in times.values())[slots - 1]
    end = max(each[-1] for each in times.values())
    slept = sum(max(0.0, each[-1] - max(begin, each[0])) for each in times.values())
    ended = sum(each[-1] > begin for each in times.values())
    epochs = sum(len(each) - 1 for each in times.values())
    return RealRun(3600 * ended / (end - begin), slept / (slots * (end - begin)), epochs, chosen, value)


def main() -> None:
    """Run both searches without and with pruning, and print their figures and the ratio."""
    parser = results.parser(__doc__)
    parser.add_argument("--seconds", type=float, default=6.0, help="mean seconds of a trial that is not pruned")
    parser.add_argument("--trials", type=int, default=100, help="trials of each search")
    parser.add_argument("--slots", type=int, default=16, help="trials that sleep at the same time")
    options = parser.parse_args()
    unit, found = options.seconds / search.EPOCHS, dict[str, Any]()
    for title, pruner in search.PRUNERS.items():
        print(f"\n{title:<24} {'per hour':>9} {'slots busy':>10} {'epochs':>7} {'chosen':>7} {'value':>7}", flush=True)
        runs = {}
        for name, run in (("virtual clock", ours), ("Ray Tune with Optuna", ray_tunes)):
            runs[name] = now = run_in_fresh_process(run, pruner, options.trials, options.slots, unit)
            print(
                f"{name:<24} {now.per_hour:9,.0f} {now.busy:10.0%} {now.epochs:7d} {now.chosen:7d} {now.value:7.4f}",
                flush=True,
            )
        mine, theirs = runs.values()
        print(f"throughput: {mine.per_hour / theirs.per_hour:.0%} of Ray Tune's", flush=True)
        found[title] = runs
    results.write(options.json, found)


if __name__ == "__main__":
    main()
