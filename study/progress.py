"""What a running study shows: a live panel on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

HEARTBEAT = 30.0
"""Seconds between plain lines that only say how far things are."""

SHOWN = ("test/dice", "val/dice", "val/loss", "loss")
"""The metrics worth a line, the best first."""


@dataclass
class Running:
    """A job that runs: its name, and how far it is."""

    label: str
    epochs: int
    started: float
    epoch: int = 0
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass
class Progress:
    """Shows how far a study is; a context manager around its run.

    Attributes:
        console: where it is shown; standard error, so that output can be piped.
        clock: monotonic seconds.
        running: jobs by id.
        done: jobs that have ended, of all launches.
        total: jobs planned.
    """

    console: Console
    clock: Callable[[], float] = time.monotonic
    running: dict[str, Running] = field(default_factory=dict)
    done: int = 0
    total: int = 0
    _live: Live | None = None
    _phase: tuple[str, int, int] | None = None
    _began: tuple[float, int] = (0.0, 0)
    _spoke: float = 0.0

    def __enter__(self) -> Progress:
        """Start the panel."""
        self._began = (self.clock(), 0)
        if self.console.is_terminal:
            self._live = Live(get_renderable=self._panel, console=self.console, refresh_per_second=4, transient=True)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the panel down."""
        if self._live is not None:
            self._live.stop()

    def plan(self, done: int, total: int) -> None:
        """How many jobs there are, and how many of them ended before this launch."""
        self.done, self.total, self._began = done, total, (self.clock(), done)

    @contextlib.contextmanager
    def phase(self, label: str) -> Iterator[Callable[[str, int, int], None]]:
        """A phase before the jobs; gives what is called with (step, steps done, steps in all)."""
        last = self.clock()

        def advance(step: str, done: int, total: int) -> None:
            nonlocal last
            self._phase = (f"{label}: {step}", done, total)
            if self._live is None and (done == total or self.clock() - last > HEARTBEAT / 3):
                last = self.clock()
                self._say(f"{label}: {step} {done}/{total}")

        try:
            yield advance
        finally:
            self._phase = None

    def message(self, text: str) -> None:
        """Say something."""
        self._say(text)

    def job_started(self, job_id: str, label: str, epochs: int) -> None:
        """A job has been given out."""
        self.running[job_id] = Running(label, epochs, self.clock())
        if self._live is None:
            self._say(f"started   {label}")

    def job_report(self, job_id: str, epoch: int, metrics: Mapping[str, float]) -> None:
        """A job has trained another epoch."""
        job = self.running.get(job_id)
        if job is not None:
            job.epoch, job.metrics = epoch, metrics
        if self._live is None and self.clock() - self._spoke > HEARTBEAT:
            self._say("; ".join(f"{job.label} {job.epoch}/{job.epochs}" for job in self.running.values()))

    def job_finished(
        self, job_id: str, status: str, metrics: Mapping[str, float], seconds: float, reason: str | None
    ) -> None:
        """A job has ended."""
        job = self.running.pop(job_id, None)
        self.done += 1
        self.total = max(self.total, self.done + len(self.running))  # searched settings may ask for more pretrainings
        why = f": {reason}" if reason else ""
        label = job.label if job else job_id
        self._say(f"{status:<9} {label}  {key_metric(metrics)}  {seconds:.1f} s  [{self.done}/{self.total}]{why}")

    def remaining(self) -> float | None:
        """Seconds until everything is done at the pace so far, or None before the first job has ended."""
        began, done_before = self._began
        ended = self.done - done_before
        return (self.clock() - began) / ended * (self.total - self.done) if ended else None

    def _say(self, text: str) -> None:
        self._spoke = self.clock()
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _panel(self) -> Group:
        lines: list[Text | Table] = []
        if self._phase is not None:
            lines.append(_bar(*self._phase, ""))
        if self.total:
            left = self.remaining()
            lines.append(
                _bar("jobs", self.done, self.total, f"about {left / 60:.1f} min left" if left is not None else "")
            )
        for job in list(self.running.values()):
            lines.append(_bar(f"  {job.label}", job.epoch, job.epochs, key_metric(job.metrics)))
        return Group(*lines)


def key_metric(metrics: Mapping[str, float]) -> str:
    """The metric that says most, as text."""
    return next((f"{name} {metrics[name]:.4f}" for name in SHOWN if name in metrics), "")


def _bar(label: str, done: int, total: int, note: str) -> Table:
    row = Table.grid(padding=(0, 1))
    row.add_column(width=38, no_wrap=True, overflow="ellipsis")
    row.add_column(width=24)
    row.add_column(width=12, justify="right")
    row.add_column(no_wrap=True)
    row.add_row(label, ProgressBar(total=max(total, 1), completed=done, width=24), f"{done}/{total}", note)
    return row
