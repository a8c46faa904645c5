"""The search of one cell on a virtual clock: trials run side by side, and the search can still be repeated.

Every decision, what to propose and what to stop, is taken on an imaginary schedule of k workers on which each epoch of
each trial costs one unit of time, with ties broken by the trial's number. A decision knows the reports that come
earlier on that schedule, whenever they really arrived, and the schedule goes on as far as the arrived reports allow. So
decisions depend on the study file, the seed, k and the reports, and neither on the cluster nor on the order in which
reports arrive. With one worker, each trial begins when the last one has ended.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from study.config.search import SearchSpec
from study.scheduling.cell_search import CellSearch
from study.scheduling.pruning import ProbePruner, next_decision


@dataclass(frozen=True)
class Timing:
    """Length of a trial on the schedule.

    Attributes:
        epochs: epochs of the trial.
        every: epochs from one report to the next; the last epoch is always reported.
        before: epochs of the pretraining before the trial, where these are compared; else 0.
    """

    epochs: int
    every: int = 1
    before: int = 0


@dataclass(frozen=True)
class Stop:
    """Decision to stop a trial.

    Attributes:
        epoch: epoch of the report that it follows.
        value: reported metric.
        probe: True if the trial's pretraining is stopped, by the metric of its probe.
    """

    epoch: int
    value: float
    probe: bool


@dataclass
class _Reports:
    """Metric of one trial by epoch.

    Attributes:
        waiting: arrived reports that no decision knows yet, by epoch.
        arrived: last epoch that has been reported.
    """

    waiting: dict[int, float] = field(default_factory=dict)
    arrived: int = 0

    def add(self, epoch: int, value: float) -> bool:
        """Add a report; return False for an epoch that was reported before."""
        if epoch <= self.arrived:
            return False
        self.arrived = epoch
        self.waiting[epoch] = value
        return True

    def take(self) -> tuple[int, float]:
        """Remove and return the first waiting report."""
        epoch = min(self.waiting)
        return epoch, self.waiting.pop(epoch)


@dataclass
class _Trial:
    """Trial that is under way on the schedule.

    Attributes:
        timing: length of the trial.
        start: time at which it started.
        reports: metric of the trial.
        probes: metric of its pretraining's probe.
        end: values of a trial that has really ended, None inside for a failed one; None while it has not.
    """

    timing: Timing
    start: int
    reports: _Reports = field(default_factory=_Reports)
    probes: _Reports = field(default_factory=_Reports)
    end: tuple[Sequence[float] | None] | None = None


class VirtualClock:
    """Imaginary schedule of one cell's search.

    The caller passes on what has arrived, and asks for a new trial whenever `wants_trial` is True.

    Args:
        spec: settings of the search.
        search: sampler and pruner of the trials.
        probe: pruner of the pretrainings.
        workers: workers of the schedule, at least 1.

    Attributes:
        unheeded: trials that the schedule has stopped, of which `stopped` has not been told yet, in order.
    """

    def __init__(self, spec: SearchSpec, search: CellSearch, probe: ProbePruner, workers: int) -> None:
        self._spec, self._search, self._probe, self._workers = spec, search, probe, workers
        self._running: dict[int, _Trial] = {}
        self._again: deque[tuple[int, Timing]] = deque()
        self._stops: dict[int, Stop] = {}
        self.unheeded: dict[int, None] = {}
        self._now = self._asked = self._planned = 0

    @property
    def wants_trial(self) -> bool:
        """True if a worker of the schedule waits for a new trial."""
        return self._asked < self._planned and not self._again and len(self._running) < self._workers

    @property
    def finished(self) -> bool:
        """True if all planned trials have ended on the schedule."""
        return self._asked >= self._planned and not self._again and not self._running

    def stop(self, index: int) -> Stop | None:
        """Return the decision to stop a trial; None as long as there is none."""
        return self._stops.get(index)

    def plan(self, trials: int) -> None:
        """Set the number of trials of the search; a smaller number than before ends it earlier."""
        self._planned = trials
        self._advance()

    def asked(self, index: int, timing: Timing) -> None:
        """Start a trial that the search has just proposed."""
        self._asked = index + 1
        self._running[index] = _Trial(timing, self._now)
        self._advance()

    def reported(self, index: int, epoch: int, value: float) -> None:
        """Pass on the metric of a trial after an epoch."""
        trial = self._running.get(index)
        if trial is not None and trial.reports.add(epoch, value):
            self._advance()

    def probe_reported(self, index: int, epoch: int, value: float) -> None:
        """Pass on the probe metric of a trial's pretraining after an epoch."""
        trial = self._running.get(index)
        if trial is not None and trial.probes.add(epoch, value):
            self._advance()

    def ended(self, index: int, values: Sequence[float] | None) -> None:
        """Pass on the end of a trial that was not stopped: one value for each objective, None for a failed one.

        A failed trial holds its worker of the schedule until the end of its planned length, so that the time at which
        it failed decides nothing.
        """
        trial = self._running.get(index)
        if trial is not None:
            trial.end = (values,)
            self._advance()

    def stopped(self, index: int) -> None:
        """Pass on that a trial was stopped, which the schedule usually knows already."""
        self.unheeded.pop(index, None)
        if index in self._running:
            self._leave(index, None, stopped=True)
            self._advance()

    def retry(self, index: int, timing: Timing) -> bool:
        """Run a failed trial again, on the next free worker.

        Returns:
            True if the search has to take the trial into its history again; False if the trial is still under way on
            the schedule, which then never learns of the failure.
        """
        trial = self._running.get(index)
        if trial is not None:
            trial.end = None
            return False
        self._stops.pop(index, None)
        self.unheeded.pop(index, None)
        self._again.append((index, timing))
        self._advance()
        return True

    def _advance(self) -> None:
        """Take every decision for which all earlier reports have arrived."""
        while True:
            while self._again and len(self._running) < self._workers:
                index, timing = self._again.popleft()
                self._running[index] = _Trial(timing, self._now)
            if self.wants_trial or not self._running:
                return
            (time, index), known = min((self._next(index) for index in self._running), key=lambda each: each[0])
            if not known:
                return
            self._now = max(self._now, time)
            self._decide(index)

    def _next(self, index: int) -> tuple[tuple[int, int], bool]:
        """Return time and trial of a trial's next event, and False if that is only the earliest time it can have."""
        trial, timing = self._running[index], self._running[index].timing
        if trial.probes.waiting:
            return (trial.start + min(trial.probes.waiting), index), True
        if trial.reports.waiting:
            return (trial.start + timing.before + min(trial.reports.waiting), index), True
        if trial.end is not None:
            return (trial.start + timing.before + timing.epochs, index), True
        if not trial.reports.arrived:
            probe = next_decision(self._spec.pretext_pruner, trial.probes.arrived)
            if probe is not None and probe <= timing.before:
                return (trial.start + probe, index), False
        epoch = next_decision(self._spec.pruner, trial.reports.arrived)
        if epoch is not None:
            epoch = -(-epoch // timing.every) * timing.every  # the first report from there on
        last = timing.epochs if epoch is None else min(epoch, timing.epochs)
        return (trial.start + timing.before + last, index), False

    def _decide(self, index: int) -> None:
        """Let the search know a trial's next report, or its end, and end the trial if it is stopped."""
        trial = self._running[index]
        if trial.probes.waiting:
            epoch, value = trial.probes.take()
            self._probe.report(index, epoch, value)
            if self._probe.should_prune(index):
                self._stop(index, Stop(epoch, value, probe=True))
        elif trial.reports.waiting:
            epoch, value = trial.reports.take()
            self._search.report(index, epoch, value)
            if epoch < trial.timing.epochs and self._search.should_prune(index):
                self._stop(index, Stop(epoch, value, probe=False))
        else:
            assert trial.end is not None
            self._leave(index, trial.end[0], stopped=False)

    def _stop(self, index: int, decision: Stop) -> None:
        self._stops[index], self.unheeded[index] = decision, None
        self._leave(index, None, stopped=True)

    def _leave(self, index: int, values: Sequence[float] | None, *, stopped: bool) -> None:
        del self._running[index]
        self._search.tell(index, values, stopped=stopped)
        self._probe.finish(index)
