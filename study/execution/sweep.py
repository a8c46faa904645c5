"""Sweep: Ray Tune runs the jobs that the driver hands out.

Tune sees each job as one trial with the job's resources. Tune's own state is discarded: the ledger holds everything.
"""

from __future__ import annotations

import gc
import shutil
import time
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.exceptions import OutOfMemoryError

from study.errors import InfrastructureError
from study.execution.cluster import capacity
from study.execution.errors import ClusterLost
from study.execution.job_driver import JobDriver
from study.execution.node_watch import NO_NODE, NodeWatch
from study.execution.trial import run_trial, trial_resources
from study.execution.tune_adapters import (
    ClusterHealthCallback,
    JobSearcher,
    NoTrialLines,
    ReportScheduler,
    StopAnnouncement,
)
from study.planning.jobs import ResourceRequest
from study.scheduling.budget import BudgetSpent, BudgetTracker


class Sweep:
    """Execution of a study's jobs by Ray Tune until all have ended.

    Args:
        driver: driver of the study's jobs.
        scratch: folder for Tune's own files, removed afterwards.
    """

    def __init__(self, driver: JobDriver, scratch: Path) -> None:
        self._driver, self._scratch = driver, scratch.absolute()
        self._budget = BudgetTracker(driver.scheduler, time.monotonic)
        self._nodes = NodeWatch(ray.nodes, time.monotonic)

    def __getstate__(self) -> dict[str, Any]:
        """Return no state: Tune pickles its adapters for a restore that the ledger replaces."""
        return {}

    def run(self) -> bool:
        """Run until no job is left, or until interrupted (then the scheduler is not done).

        Returns:
            True if it must be called again in a new Ray session: Tune crashes when Ray kills an actor for running out
            of memory.

        Raises:
            BudgetSpent: the budget is spent with jobs left; they continue from their checkpoints later.
            ClusterLost: the cluster has no node left, or worker processes crash at start-up.
            StorageFull: the disk is full.
            FolderNotShared: a node that joined later does not share the study's folder.
        """
        try:
            while self._run_tuner():
                self._driver.progress.message(f"{len(self._driver.scheduler.outcomes)} jobs have ended")
                gc.collect()
            return False
        except Exception as error:
            if isinstance(error.__cause__, OutOfMemoryError):
                self._driver.processes_killed(error.__cause__)
                return True
            if isinstance(error, BudgetSpent | InfrastructureError):
                raise
            if self._nodes.lost_since is not None:
                raise ClusterLost(NO_NODE) from error
            raise
        finally:
            self._driver.announce_corrected()
            self._budget.flush()
            shutil.rmtree(self._scratch, ignore_errors=True)

    def _run_tuner(self) -> bool:
        """Run one Tuner; return True if jobs are left for another one."""
        shutil.rmtree(self._scratch, ignore_errors=True)
        driver = self._driver
        searcher = JobSearcher(driver, self._free)
        tune.Tuner(
            tune.with_resources(run_trial, trial_resources),
            tune_config=tune.TuneConfig(
                search_alg=searcher,
                scheduler=ReportScheduler(driver),
                num_samples=-1,
                reuse_actors=True,
                trial_dirname_creator=lambda trial: trial.trial_id,
            ),
            run_config=tune.RunConfig(
                name="sweep",
                callbacks=[
                    ClusterHealthCallback(driver, searcher, self._budget, self._nodes),
                    StopAnnouncement(driver.progress),
                    NoTrialLines(),
                ],
                **driver.paths.scratch(self._scratch),
                verbose=0,
            ),
        ).fit()
        return searcher.full and not driver.interrupted and not driver.scheduler.done

    def _free(self) -> ResourceRequest:
        """Return the CPUs and GPUs that no running job holds."""
        scheduler = self._driver.scheduler
        total = capacity(ray.cluster_resources(), scheduler.plan.spec.resources.max)
        requests = [job.resources for job in scheduler.running.values()]
        return ResourceRequest(
            cpus=total["CPU"] - sum(request.workers * request.cpus for request in requests),
            gpus=total["GPU"] - sum(request.workers * request.gpus for request in requests),
        )
