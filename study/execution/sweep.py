"""The sweep: Ray Tune runs the jobs that the agenda gives out.

Tune sees each job as one trial. Its searcher hands over the agenda's next job, its scheduler passes every report to the
agenda and stops what has fallen behind, and a trial's resources are its job's. Tune's own state is thrown away: the
ledger has everything.
"""

from __future__ import annotations

import errno
import gc
import json
import logging
import os
import shutil
import time
from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.exceptions import OutOfMemoryError
from ray.tune import PlacementGroupFactory
from ray.tune.execution.placement_groups import PlacementGroupFactory as _Factory
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from study.execution.cluster import ClusterLost, StorageFull, capacity
from study.execution.execute import clear_stale_job, execute, read_outcome
from study.execution.metrics_log import MetricsLog
from study.execution.restart_policy import MemoryKill, RestartPolicy
from study.planning.jobs import Job, Outcome, ResourceRequest
from study.progress import Progress
from study.scheduling.budget import BudgetSpent, BudgetTracker
from study.scheduling.objectives import OBJECTIVE, PROBE
from study.scheduling.scheduler import JobScheduler
from study.storage.artifacts import ArtifactStore
from study.storage.remote import ARTIFACT, RESULT, JobPaths, Storage, job_key, node_cache
from study.storage.workspace import StudyFolder
from study.tracking.tracker import Tracker
from trainables.engine.runtime import LocalRuntime, use_threads

log = logging.getLogger(__name__)

TRIAL_MEMORY = 2**26
"""Bytes asked of Ray for a trial that only waits for its worker group, so that it holds no CPU or GPU."""

TRIALS_PER_TUNER = 1000
"""Jobs that one of Tune's runs is given; the next begins when they have ended."""

REPORTED_METRICS = (OBJECTIVE, PROBE, "val/loss", "loss")
"""Metrics that the driver is told while a job runs."""

NO_SPACE = os.strerror(errno.ENOSPC)

MIN_FREE_BYTES = 2**20
"""Bytes without which a job that died is taken to have died of a full disk."""

NO_NODE = "the Ray cluster has no node left; run the same command again to go on"

NODE_LOSS_TIMEOUT = 45.0
"""Seconds for which a cluster may have no node at all."""


class Sweep:
    """Runs an agenda to its end.

    Args:
        agenda: what to run.
        folder: of the study.
        artifacts: of the workspace.
        tracker: told of every start and end.
        progress: likewise.
        storage: the store by which jobs get and give files, where nodes do not see the workspace.
    """

    def __init__(
        self,
        scheduler: JobScheduler,
        folder: StudyFolder,
        artifacts: ArtifactStore,
        tracker: Tracker,
        progress: Progress,
        storage: Storage | None = None,
    ) -> None:
        self.scheduler, self.folder, self.artifacts, self.storage = scheduler, folder, artifacts, storage
        self.tracker, self.progress = tracker, progress
        self._stopping: set[str] = set()
        self._again: deque[Job] = deque()
        self._lives: dict[str, RestartPolicy] = defaultdict(RestartPolicy)
        self._actors: dict[str, str] = {}
        self.budget = BudgetTracker(scheduler, time.monotonic)
        self.lost_since: float | None = None
        self._works = False
        self._stop: Exception | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles its searcher and scheduler for a restore that never comes."""
        return {}

    def run(self) -> bool:
        """Run until nothing is left, or until interrupted (then the agenda is not done).

        Returns:
            Whether to call it again, in a new session: Tune falls over a process that Ray killed for its memory.

        Raises:
            BudgetSpent: with jobs left, which go on from their checkpoints another time.
            ClusterLost: likewise.
            StorageFull: likewise.
        """
        try:
            while self._run_some():
                self.progress.message(f"{len(self.scheduler.outcomes)} jobs have ended")
                gc.collect()
            return False
        except Exception as error:
            if isinstance(error.__cause__, OutOfMemoryError):
                self._processes_killed(error.__cause__)
                return True
            if isinstance(error, BudgetSpent | StorageFull | ClusterLost):
                raise
            if self.lost_since is not None:
                raise ClusterLost(NO_NODE) from error
            raise
        finally:
            self.budget.flush()
            shutil.rmtree(self.folder.root / "ray", ignore_errors=True)

    def _run_some(self) -> bool:
        """Run up to `TRIALS_PER_TUNER` jobs, as Tune forgets none that it has run; whether to go on with more."""
        scratch = self.folder.root / "ray"
        shutil.rmtree(scratch, ignore_errors=True)
        searcher = _Searcher(self)
        tune.Tuner(
            tune.with_resources(_trial, _resources),
            tune_config=tune.TuneConfig(
                search_alg=searcher,
                scheduler=_Scheduler(self),
                num_samples=-1,
                reuse_actors=True,
                trial_dirname_creator=lambda trial: trial.trial_id,
            ),
            run_config=tune.RunConfig(
                name="sweep",
                callbacks=[ClusterHealthCallback(self, searcher)],
                **self.places.scratch(scratch.absolute()),
                verbose=0,
            ),
        ).fit()
        interrupted = self.scheduler.running.keys() - {job.id for job in self._again}
        return searcher.full and not interrupted and not self.scheduler.done

    @property
    def places(self) -> JobPaths:
        """Where the study's jobs find and leave files."""
        jobs, uri = self.folder.root / "jobs", self.storage.uri if self.storage is not None else None
        return JobPaths(self.folder.name, str(jobs), str(self.artifacts.root), uri)

    def _fetch(self, job: Job) -> None:
        """What a job left in the store, into the workspace."""
        if self.storage is not None:
            self.storage.get_folder(job_key(self.folder.name, job), self.folder.job(job.id).root, RESULT)
            if not self.artifacts.has(job.digest):
                self.storage.get_folder(f"artifacts/{job.digest}", self.artifacts.folder(job.digest), ARTIFACT)

    def next_job(self) -> Job | None:
        """The next job that fits beside the running ones, announced to tracker and progress."""
        if self._again:
            return self._again.popleft()
        job = self.scheduler.next_job(self._free())
        if job is not None:
            clear_stale_job(job, self.folder.job(job.id))
            self.tracker.job_started(job)
            self.progress.job_started(job.id, job.label, job.epochs)
        return job

    def report(self, job_id: str, epoch: int, metrics: Mapping[str, float]) -> bool:
        """Pass on a running job's metrics; True when it should stop."""
        self._works = True
        self.progress.job_report(job_id, epoch, metrics)
        self._lives[job_id].epoch = max(epoch, self._lives[job_id].epoch)
        stop = self.scheduler.report(job_id, epoch, metrics)
        if stop:
            self._stopping.add(job_id)
        return stop

    def _processes_killed(self, error: OutOfMemoryError) -> None:
        """Fail the job that had most memory, if Ray killed it; all others go on from their checkpoints."""
        kill = MemoryKill.of(error)
        killed = {self._actors.get(actor) for actor in kill.killed} if kill is not None else set()
        waiting = {job.id for job in self._again}
        for job in list(self.scheduler.running.values()):
            if job.id in killed:
                self.died(job.id, error)
                self.ended(job.id, None, error=True)
            elif job.id not in waiting:
                self._again.append(job)

    def register_actor(self, actor: str, job_id: str) -> None:
        """Note which of Ray's actors runs a job."""
        self._actors[actor] = job_id

    def died(self, job_id: str, cause: Exception | None) -> None:
        """Note that a job's process died; Tune then says that the job ended."""
        # Tune keeps what it knows of the cause beside the study, where nothing can be written then.
        if NO_SPACE in str(cause) or shutil.disk_usage(self.folder.root).free < MIN_FREE_BYTES:
            place = self.folder.job(job_id).root
            self._stop = StorageFull(f"no space is left for {place}; make some and run the same command again")
        kill = MemoryKill.of(cause)
        # The processes of a group of workers are not among the actors known here: the group answers for them.
        own = kill is not None and self._actors.get(kill.largest or "", job_id) == job_id
        self._lives[job_id].record_crash(out_of_memory=own)

    def ended(self, job_id: str, last: Mapping[str, Any] | None, *, error: bool) -> None:
        """Record how a job ended; one whose process died goes on from its checkpoint in another.

        Tune could start it again by itself, but gives up at once on a process that dies between two trials.
        """
        if job_id not in self.scheduler.running:
            return
        job = self.scheduler.running[job_id]
        self._fetch(job)
        if error and read_outcome(self.folder.job(job_id)) is None and self._lives[job_id].should_restart:
            self._again.append(job)
            return
        outcome = self._outcome(job_id, last or {}, error=error)
        if error and not self._works and not self._lives[job_id].out_of_memory:
            text = f"this cluster's processes die before they have begun ({job.label}: {outcome.reason})"
            self._stop = ClusterLost(text)
            return
        self._stopping.discard(job_id)
        self.scheduler.finish(job_id, outcome)
        self.tracker.job_finished(job, self.scheduler.outcomes[job_id])
        self.progress.job_finished(job_id, outcome.status, outcome.metrics, outcome.seconds, outcome.reason)

    def _outcome(self, job_id: str, last: Mapping[str, Any], *, error: bool) -> Outcome:
        done = read_outcome(self.folder.job(job_id))
        if done is not None:
            return done
        if job_id in self._stopping:
            metrics = {name: value for name, value in last.items() if name.startswith("val/")}
            return Outcome("stopped", metrics, int(last.get("epoch", 0)), float(last.get("time_total_s", 0.0)))
        reason = self._lives[job_id].reason if error else "it ended without an outcome"
        return Outcome("failed", {}, 0, 0.0, f"{reason}; see Ray's logs of this launch")

    def check(self) -> None:
        """See what is spent, and whether the sweep can go on.

        Raises:
            BudgetSpent, StorageFull, ClusterLost: it cannot.
        """
        self.budget.check()
        if self._stop is not None:
            raise self._stop

    def look_for_nodes(self) -> None:
        """Note since when the cluster has had no node; Tune would wait for one for ever.

        Raises:
            ClusterLost: for longer than `NODE_LOSS_TIMEOUT`.
        """
        if any(node["Alive"] for node in ray.nodes()):
            self.lost_since = None
        elif self.lost_since is None:
            self.lost_since = time.monotonic()
        elif time.monotonic() - self.lost_since > NODE_LOSS_TIMEOUT:
            raise ClusterLost(NO_NODE)

    def _free(self) -> ResourceRequest:
        total = capacity(ray.cluster_resources(), self.scheduler.plan.spec.resources.max)
        needs = [job.resources for job in self.scheduler.running.values()]
        return ResourceRequest(
            cpus=total["CPU"] - sum(need.workers * need.cpus for need in needs),
            gpus=total["GPU"] - sum(need.workers * need.gpus for need in needs),
        )


class _Searcher(Searcher):
    """Tune's view of the agenda."""

    def __init__(self, sweep: Sweep) -> None:
        super().__init__()
        self._sweep = sweep
        self._jobs: dict[str, str] = {}
        self._given = 0

    @property
    def full(self) -> bool:
        """Whether this one has given out all that it may."""
        return self._given >= TRIALS_PER_TUNER

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]  # FINISHED is text
        job = self._sweep.next_job() if not self.full else None
        if job is not None:
            self._given += 1
            self._jobs[trial_id] = job.id
            # As text: Tune keeps every trial's configuration to the end, and copies and flattens it.
            return {"id": job.id, "job": json.dumps(job.plain()), "places": json.dumps(asdict(self._sweep.places))}
        return Searcher.FINISHED if self.full or self._sweep.scheduler.done else None

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        if trial_id in self._jobs:
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
        stop = self._sweep.report(trial.config["id"], int(result.get("epoch", 0)), metrics)
        decision: str = TrialScheduler.STOP if stop else TrialScheduler.CONTINUE
        return decision

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        self._sweep.died(trial.config["id"], trial.get_pickled_error())


class ClusterHealthCallback(tune.Callback):
    """Looks after the cluster at each of Tune's steps."""

    def __init__(self, sweep: Sweep, searcher: _Searcher) -> None:
        super().__init__()
        self._sweep, self._searcher, self._looked = sweep, searcher, 0.0

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Note which process runs the job."""
        actor = trial.temporary_state.ray_actor
        if actor is not None:
            self._sweep.register_actor(actor._actor_id.hex(), trial.config["id"])

    def on_step_begin(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """See what is spent; every few seconds, whether there are nodes, and whether Tune gave up without a word."""
        self._sweep.check()
        if time.monotonic() - self._looked > 5:
            self._looked = time.monotonic()
            self._sweep.look_for_nodes()
            for trial in trials:
                if trial.status == Trial.ERROR:
                    self._searcher.on_trial_complete(trial.trial_id, error=True)


def _resources(config: dict[str, Any]) -> _Factory:
    need = Job.from_plain(json.loads(config["job"])).resources
    if need.workers > 1:
        return PlacementGroupFactory([{"memory": TRIAL_MEMORY}])
    return PlacementGroupFactory([{"CPU": need.cpus} | ({"GPU": need.gpus} if need.gpus else {})])


def _trial(config: dict[str, Any]) -> None:
    """What runs in a trial's process: a single-worker job itself, or the head of a worker group."""
    job, places = Job.from_plain(json.loads(config["job"])), JobPaths(**json.loads(config["places"]))
    if job.resources.workers > 1:
        from study.execution.workers import execute_with_workers  # Ray Train is slow to import, and seldom needed

        execute_with_workers(job, places, Path(places.jobs).parent / "ray")
        return
    use_threads(int(job.resources.cpus))
    site = places.site(job, node_cache())

    def tell(epoch: int, metrics: Mapping[str, float]) -> None:
        site.reported()
        _tell(epoch, metrics)

    report = MetricsLog(site.folder, tell)
    runtime = LocalRuntime(site.folder.root, report, save_every=site.save_every, on_save=site.saved)
    execute(site.job, site.folder, site.artifacts, runtime)
    site.ended()


def _tell(epoch: int, metrics: Mapping[str, float]) -> None:
    """Tell the driver what it steers by; Tune keeps everything that it is told, and the rest is in the job's folder."""
    tune.report({"epoch": epoch, **{name: metrics[name] for name in REPORTED_METRICS if name in metrics}})
