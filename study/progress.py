"""Progress of a running study: a live panel on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

RECORD_INTERVAL = 2.0
"""Seconds between two records of the running jobs."""

WIDE = 110
"""Width in characters from which the panel has room for long names and bars."""

HEARTBEAT = 30.0
"""Seconds between plain lines that only report epochs."""

KEY_METRICS = ("test/dice", "val/dice", "val/loss", "loss", "strength")
"""Metrics of which the first available one is printed."""


@dataclass
class RunningJob:
    """Progress of a running job.

    Attributes:
        label: name of the job for display.
        epochs: epochs that the job trains in total.
        epoch: epochs trained so far.
        metrics: metrics of the last epoch by name.
    """

    label: str
    epochs: int
    epoch: int = 0
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass
class Progress:
    """Progress display of a study; a context manager around its run.

    Attributes:
        console: console to print to; standard error, so that a command's output can be piped.
        clock: monotonic clock in seconds.
        running: running jobs by id.
        done: number of jobs that have ended, in all launches.
        total: number of jobs planned.
        record: function that is called with the running jobs when they have changed; None for none.
    """

    console: Console
    clock: Callable[[], float] = time.monotonic
    running: dict[str, RunningJob] = field(default_factory=dict)
    done: int = 0
    total: int = 0
    record: Callable[[list[RunningJob]], None] | None = None
    _live: Live | None = None
    _phase: tuple[str, int, int] | None = None
    _start: tuple[float, int] = (0.0, 0)
    _last_line: float = 0.0
    _changed: bool = False
    _recorded_at: float = -math.inf

    def __enter__(self) -> Progress:
        """Start the live panel if the console is a terminal."""
        self._start = (self.clock(), 0)
        if self.console.is_terminal:
            self._live = Live(get_renderable=self._panel, console=self.console, refresh_per_second=4, transient=True)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove the live panel from the terminal."""
        if self._live is not None:
            self._live.stop()

    def plan(self, done: int, total: int) -> None:
        """Set the number of planned jobs, and the number of those that ended before this launch."""
        self.done, self.total, self._start = done, total, (self.clock(), done)

    @contextlib.contextmanager
    def phase(self, label: str) -> Iterator[Callable[[str, int, int], None]]:
        """Show a phase that precedes the jobs; yield a callback that takes (step, steps done, steps in total)."""
        last = self.clock()

        def advance(step: str, done: int, total: int) -> None:
            nonlocal last
            self._phase = (f"{label}: {step}", done, total)
            if self._live is None and (done == total or self.clock() - last > HEARTBEAT / 3):
                last = self.clock()
                self._print(f"{label}: {step} {done}/{total}")

        try:
            yield advance
        finally:
            self._phase = None

    def message(self, text: str) -> None:
        """Print a line of text."""
        self._print(text)

    def job_started(self, job_id: str, label: str, epochs: int) -> None:
        """Add a job to the display.

        Args:
            job_id: the job's id.
            label: its name for display.
            epochs: epochs that it trains.
        """
        self.running[job_id] = RunningJob(label, epochs)
        self._changed = True
        if self._live is None:
            self._print(f"started   {label}")

    def job_report(self, job_id: str, epoch: int, metrics: Mapping[str, float]) -> None:
        """Update a job after an epoch; print all running jobs if nothing was printed for `HEARTBEAT` seconds."""
        job = self.running.get(job_id)
        if job is not None:
            job.epoch, job.metrics = epoch, metrics
            self._changed = True
        if self._live is None and self.clock() - self._last_line > HEARTBEAT:
            self._print("; ".join(f"{job.label} {job.epoch}/{job.epochs}" for job in self.running.values()))

    def job_finished(
        self, job_id: str, status: str, metrics: Mapping[str, float], seconds: float, reason: str | None
    ) -> None:
        """Remove a job from the display and print its outcome.

        Args:
            job_id: the job's id.
            status: completed, stopped or failed.
            metrics: its final metrics by name.
            seconds: its run time.
            reason: cause of a failure or stop, the verdict on a pretraining, or None.
        """
        job = self.running.pop(job_id, None)
        self._changed = True
        self.done += 1
        self.total = max(self.total, self.done + len(self.running))  # the search may add pretrainings
        why = f": {reason}" if reason else ""
        label = job.label if job else job_id
        self._print(f"{status:<9} {label}  {key_metric(metrics)}  {seconds:.1f} s  [{self.done}/{self.total}]{why}")

    def job_reused(self, job: str, learning: str) -> None:
        """Count a pretraining of another study among the ended jobs, and print the verdict on it."""
        self.done += 1
        self._start = (self._start[0], self._start[1] + 1)
        self._print(f"reused    {job}  [{self.done}/{self.total}]: {learning}")

    def flush(self) -> None:
        """Record the running jobs if they have changed, at most every `RECORD_INTERVAL` seconds."""
        if self.record is not None and self._changed and self.clock() - self._recorded_at >= RECORD_INTERVAL:
            self._changed, self._recorded_at = False, self.clock()
            self.record(list(self.running.values()))

    def remaining(self) -> float | None:
        """Return the estimated seconds until all jobs are done; None before a job of this launch has ended."""
        start, done_before = self._start
        ended = self.done - done_before
        return (self.clock() - start) / ended * (self.total - self.done) if ended else None

    def _print(self, text: str) -> None:
        self._last_line = self.clock()
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _panel(self) -> Group:
        lines: list[Text | Table] = []
        if self._phase is not None:
            lines.append(self._bar(*self._phase, ""))
        if self.total:
            left = self.remaining()
            lines.append(
                self._bar("jobs", self.done, self.total, f"about {left / 60:.1f} min left" if left is not None else "")
            )
        for job in list(self.running.values()):
            lines.append(self._bar(f"  {job.label}", job.epoch, job.epochs, key_metric(job.metrics)))
        return Group(*lines)

    def _bar(self, label: str, done: int, total: int, note: str) -> Table:
        """Return a line whose note, such as a metric, is whole at 80 characters, too."""
        name, bar, count = (38, 24, 12) if self.console.width >= WIDE else (30, 10, 11)
        row = Table.grid(padding=(0, 1))
        row.add_column(width=name, no_wrap=True, overflow="ellipsis")
        row.add_column(width=bar)
        row.add_column(width=count, justify="right")
        row.add_column(no_wrap=True)
        row.add_row(label, ProgressBar(total=max(total, 1), completed=done, width=bar), f"{done}/{total}", note)
        return row


def key_metric(metrics: Mapping[str, float]) -> str:
    """Return the most informative metric as text; "" without any."""
    return next((f"{name} {metrics[name]:.4f}" for name in KEY_METRICS if name in metrics), "")
