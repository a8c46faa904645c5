"""The sweep: Ray Tune runs the jobs that the agenda gives out.

Tune sees each job as one trial. Its searcher hands over the agenda's next job, its scheduler passes every report to the
agenda and stops what has fallen behind, and a trial's resources are its job's. Tune's own state is thrown away: the
ledger has everything.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune import PlacementGroupFactory
from ray.tune.execution.placement_groups import PlacementGroupFactory as _Factory
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from study.agenda import Agenda
from study.artifacts import ArtifactStore
from study.cluster import ClusterLost
from study.jobs import Job, Need, Outcome
from study.progress import Progress
from study.stages import MetricsLog, execute, read_outcome
from study.tracking import Tracker
from study.workspace import StudyFolder
from trainables.runtime import LocalRuntime, use_threads

log = logging.getLogger(__name__)

TRIAL_MEMORY = 2**26
"""Bytes asked of Ray for a trial that only waits for its worker group, so that it holds no CPU or GPU."""

MAX_DEATHS = 2
"""How often a job whose process died is started again."""


PATIENCE = 45.0
"""Seconds for which a cluster may have no node at all."""


class Sweep:
    """Runs an agenda to its end.

    Args:
        agenda: what to run.
        folder: of the study.
        artifacts: of the workspace.
        tracker: told of every start and end.
        progress: likewise.
    """

    def __init__(
        self, agenda: Agenda, folder: StudyFolder, artifacts: ArtifactStore, tracker: Tracker, progress: Progress
    ) -> None:
        self.agenda, self.folder, self.artifacts = agenda, folder, artifacts
        self.tracker, self.progress = tracker, progress
        self._stopping: set[str] = set()
        self.lost_since: float | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles its searcher and scheduler for a restore that never comes."""
        return {}

    def run(self) -> None:
        """Run until nothing is left, or until interrupted (then the agenda is not done)."""
        scratch = self.folder.root / "ray"
        shutil.rmtree(scratch, ignore_errors=True)
        tuner = tune.Tuner(
            tune.with_resources(_trial, _resources),
            tune_config=tune.TuneConfig(
                search_alg=_Searcher(self),
                scheduler=_Scheduler(self),
                num_samples=-1,
                reuse_actors=True,
                trial_dirname_creator=lambda trial: trial.trial_id,
            ),
            run_config=tune.RunConfig(
                name="sweep",
                callbacks=[_Watch(self)],
                storage_path=str(scratch.absolute()),
                verbose=0,
                failure_config=tune.FailureConfig(max_failures=MAX_DEATHS),
            ),
        )
        try:
            tuner.fit()
        except Exception as error:
            if self.lost_since is not None:
                raise ClusterLost("the Ray cluster has no node left; run the same command again to go on") from error
            raise
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def next_job(self) -> Job | None:
        """The agenda's next job that fits beside the running ones, announced to tracker and progress."""
        job = self.agenda.next(self._free())
        if job is not None:
            self.tracker.job_started(job)
            self.progress.job_started(job.id, job.label, job.epochs)
        return job

    def report(self, job_id: str, epoch: int, metrics: Mapping[str, float]) -> bool:
        """Pass on a running job's metrics; True when it should stop."""
        self.progress.job_report(job_id, epoch, metrics)
        stop = self.agenda.report(job_id, epoch, metrics)
        if stop:
            self._stopping.add(job_id)
        return stop

    def ended(self, job_id: str, last: Mapping[str, Any] | None, *, error: bool) -> None:
        """Record how a job ended."""
        if job_id not in self.agenda.running:
            return
        job, outcome = self.agenda.running[job_id], self._outcome(job_id, last or {}, error=error)
        self.agenda.finish(job_id, outcome)
        self.tracker.job_finished(job, outcome)
        self.progress.job_finished(job_id, outcome.status, outcome.metrics, outcome.seconds, outcome.reason)

    def _outcome(self, job_id: str, last: Mapping[str, Any], *, error: bool) -> Outcome:
        done = read_outcome(self.folder.job(job_id))
        if done is not None:
            return done
        if job_id in self._stopping:
            metrics = {name: value for name, value in last.items() if name.startswith("val/")}
            return Outcome("stopped", metrics, int(last.get("epoch", 0)), float(last.get("time_total_s", 0.0)))
        reason = "its process died again and again" if error else "it ended without an outcome"
        return Outcome("failed", {}, 0, 0.0, f"{reason}; see Ray's logs of this launch")

    def look_for_nodes(self) -> None:
        """Note since when the cluster has had no node; Tune would wait for one for ever.

        Raises:
            ClusterLost: for longer than `PATIENCE`.
        """
        if any(node["Alive"] for node in ray.nodes()):
            self.lost_since = None
        elif self.lost_since is None:
            self.lost_since = time.monotonic()
        elif time.monotonic() - self.lost_since > PATIENCE:
            raise ClusterLost

    def _free(self) -> Need:
        total = ray.cluster_resources()
        needs = [job.need for job in self.agenda.running.values()]
        return Need(
            cpus=total.get("CPU", 0) - sum(need.workers * need.cpus for need in needs),
            gpus=total.get("GPU", 0) - sum(need.workers * need.gpus for need in needs),
        )


class _Searcher(Searcher):
    """Tune's view of the agenda."""

    def __init__(self, sweep: Sweep) -> None:
        super().__init__()
        self._sweep = sweep
        self._jobs: dict[str, str] = {}

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]  # FINISHED is text
        job = self._sweep.next_job()
        if job is not None:
            self._jobs[trial_id] = job.id
            return {
                "job": job.plain(),
                "study": str(self._sweep.folder.root),
                "artifacts": str(self._sweep.artifacts.root),
            }
        return Searcher.FINISHED if self._sweep.agenda.done else None

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        self._sweep.ended(self._jobs.pop(trial_id), result, error=error)

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the ledger has it."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: the ledger has it."""


class _Scheduler(FIFOScheduler):
    """Passes reports to the agenda, in the order in which jobs were given out."""

    def __init__(self, sweep: Sweep) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._sweep = sweep

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        metrics = {name: value for name, value in result.items() if isinstance(value, float)}
        stop = self._sweep.report(trial.config["job"]["id"], int(result.get("epoch", 0)), metrics)
        decision: str = TrialScheduler.STOP if stop else TrialScheduler.CONTINUE
        return decision


class _Watch(tune.Callback):
    """Looks after the cluster at each of Tune's steps."""

    def __init__(self, sweep: Sweep) -> None:
        super().__init__()
        self._sweep, self._looked = sweep, 0.0

    def on_step_begin(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """Every few seconds, see whether there are nodes."""
        if time.monotonic() - self._looked > 5:
            self._looked = time.monotonic()
            self._sweep.look_for_nodes()


def _resources(config: dict[str, Any]) -> _Factory:
    need = Need(**config["job"]["need"])
    if need.workers > 1:
        return PlacementGroupFactory([{"memory": TRIAL_MEMORY}])
    return PlacementGroupFactory([{"CPU": need.cpus} | ({"GPU": need.gpus} if need.gpus else {})])


def _trial(config: dict[str, Any]) -> None:
    """What runs in a trial's process: a single-worker job itself, or the head of a worker group."""
    job, study = Job.from_plain(config["job"]), StudyFolder(Path(config["study"]))
    place, store = study.job(job.id), ArtifactStore(Path(config["artifacts"]))
    if job.need.workers > 1:
        from study.workers import execute_with_workers  # Ray Train is slow to import, and seldom needed

        execute_with_workers(job, place, store, (study.root / "ray").absolute())
        return
    use_threads(int(job.need.cpus))
    report = MetricsLog(place, lambda epoch, metrics: tune.report({"epoch": epoch, **metrics}))
    execute(job, place, store, LocalRuntime(place.root, report))
