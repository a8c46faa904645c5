"""Adapters between Ray Tune and the job driver: searcher, scheduler and callback, which only translate calls."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from ray import tune
from ray.tune.experiment import Trial
from ray.tune.progress_reporter import TrialProgressCallback
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from study.execution.job_driver import JobDriver
from study.execution.node_watch import NodeWatch
from study.execution.trial import trial_config
from study.planning.jobs import ResourceRequest
from study.progress import Progress
from study.scheduling.budget import BudgetTracker

TRIALS_PER_TUNER = 1000
"""Jobs of one Tuner; the next Tuner starts when they have ended, because Tune keeps every trial in memory."""

STOPPING = "stopping the running jobs; they continue from their last checkpoints when the same command is run again"
"""Line that an interrupted study prints at once."""

NODE_CHECK_INTERVAL = 5.0
"""Seconds between checks of the cluster's nodes."""


class JobSearcher(Searcher):
    """Tune searcher that suggests the driver's next job.

    Args:
        driver: driver of the study's jobs.
        free: function that returns the free CPUs and GPUs of the cluster.
    """

    def __init__(self, driver: JobDriver, free: Callable[[], ResourceRequest]) -> None:
        super().__init__()
        self._driver, self._free = driver, free
        self._jobs: dict[str, str] = {}
        self._suggested = 0

    @property
    def full(self) -> bool:
        """True if this searcher has suggested `TRIALS_PER_TUNER` jobs."""
        return self._suggested >= TRIALS_PER_TUNER

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]  # FINISHED is text
        """Return the next job's configuration, None to be asked again, or FINISHED."""
        job = self._driver.next_job(self._free) if not self.full else None
        if job is not None:
            self._suggested += 1
            self._jobs[trial_id] = job.id
            return dict(trial_config(job, self._driver.paths, self._driver.scheduler.plan.study.plugins))
        return Searcher.FINISHED if self.full or self._driver.scheduler.done else None

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Pass the end of a trial to the driver, once."""
        if trial_id in self._jobs:
            self._driver.ended(self._jobs.pop(trial_id), result, error=error)

    def save(self, checkpoint_path: str) -> None:
        """Save nothing: the ledger holds the state."""

    def restore(self, checkpoint_path: str) -> None:
        """Restore nothing: the ledger holds the state."""


class ReportScheduler(FIFOScheduler):
    """Tune scheduler that passes reports and crashes to the driver.

    Args:
        driver: driver of the study's jobs.
    """

    def __init__(self, driver: JobDriver) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._driver = driver

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """Pass a report to the driver and return Tune's decision."""
        metrics = {name: value for name, value in result.items() if isinstance(value, float)}
        stop = self._driver.report(trial.config["id"], int(result.get("epoch", 0)), metrics)
        decision: str = TrialScheduler.STOP if stop else TrialScheduler.CONTINUE
        return decision

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        """Pass a crash to the driver."""
        self._driver.crashed(trial.config["id"], error_of(trial))


def error_of(trial: Trial) -> Exception | None:
    """Return the text of the error that has ended a trial, as an exception; None if Tune has none.

    Tune's own methods read the error from the storage path, to which Tune copies it later.
    """
    try:
        return RuntimeError(Path(trial.error_file or "").read_text(errors="replace"))
    except OSError:
        return None


class NoTrialLines(TrialProgressCallback):
    """Tune's printer of trials, which prints nothing: Tune adds its own, loud at any verbosity, where it finds none."""

    def _print(self, msg: str) -> None:
        pass


class StopAnnouncement(tune.Callback):
    """Tune callback that lets the first Ctrl-C say that the study is stopping, which takes some seconds.

    Args:
        progress: display to print to.
    """

    def __init__(self, progress: Progress) -> None:
        super().__init__()
        self._progress = progress
        self._restore: Callable[[], None] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Return no state: Tune pickles its callbacks for a restore that the ledger replaces."""
        return {}

    def on_step_begin(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """Put the announcement before the handler that Tune has installed for its run."""
        if self._restore is not None or threading.current_thread() is not threading.main_thread():
            return
        interrupt = signal.getsignal(signal.SIGINT)
        if not callable(interrupt):  # ignored, as in a command that a script has put into the background
            return

        def announce(number: int, frame: FrameType | None) -> None:
            with contextlib.suppress(RuntimeError):  # the signal came in the middle of another line
                self._progress.message(STOPPING)
            interrupt(number, frame)

        def restore() -> None:
            if signal.getsignal(signal.SIGINT) is announce:  # else Tune has put back the handler of before its run
                signal.signal(signal.SIGINT, interrupt)

        signal.signal(signal.SIGINT, announce)
        self._restore = restore

    def on_experiment_end(self, trials: list[Trial], **info: Any) -> None:
        """Take the announcement back, as no job is left to stop."""
        if self._restore is not None:
            self._restore()


class ClusterHealthCallback(tune.Callback):
    """Tune callback that checks budget, stop reason and nodes at every step.

    Args:
        driver: driver of the study's jobs.
        searcher: searcher that knows which job a trial runs.
        budget: budget of the study.
        nodes: watch over the cluster's nodes.
    """

    def __init__(self, driver: JobDriver, searcher: JobSearcher, budget: BudgetTracker, nodes: NodeWatch) -> None:
        super().__init__()
        self._driver, self._searcher, self._budget, self._nodes = driver, searcher, budget, nodes
        self._checked_at = 0.0

    def __getstate__(self) -> dict[str, Any]:
        """Return no state: Tune pickles its callbacks for a restore that the ledger replaces."""
        return {}

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Record which actor runs the job."""
        actor = trial.temporary_state.ray_actor
        if actor is not None:
            self._driver.register_actor(actor._actor_id.hex(), trial.config["id"])

    def on_step_begin(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """Check budget and stop reason; every few seconds, nodes and trials that Tune gave up silently.

        Raises:
            BudgetSpent: the budget of hours or GPU-hours is spent.
            StorageFull: the disk is full.
            FolderNotShared: a node does not share the study's folder.
            ClusterLost: no node is left, or worker processes crash at start-up.
        """
        self._budget.check()
        self._driver.progress.flush()
        if self._driver.stop_reason is not None:
            raise self._driver.stop_reason
        if time.monotonic() - self._checked_at > NODE_CHECK_INTERVAL:
            self._checked_at = time.monotonic()
            self._nodes.check()
            for trial in trials:
                if trial.status == Trial.ERROR:
                    self._searcher.on_trial_complete(trial.trial_id, error=True)
