"""The state of a study as a fold over its events.

The state holds no Ray, Optuna, clock or file: two drivers that read the same events have equal states, so every
decision that is a function of the state can be repeated.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from study.planning.jobs import Outcome
from study.storage.events import (
    CellReopened,
    ConfigurationChosen,
    EpochReported,
    Event,
    JobFinished,
    JobLost,
    JobRetried,
    PretrainingReused,
    PriorRead,
    ProbeReported,
    SearchPlanned,
    TimeSpent,
    TrialAsked,
)


@dataclass
class TrialHistory:
    """Proposal of one trial, and its reports since it was last asked for or retried.

    Attributes:
        params: Value of each searched setting, by dotted path.
        system_attrs: Optuna's system attributes of the trial, which its sampler reads again on replay.
        reports: Validation metric by epoch, in the order of the reports.
        probe_reports: Probe metric of the trial's pretraining by epoch, in the order of the reports.
    """

    params: Mapping[str, Any]
    system_attrs: Mapping[str, Any]
    reports: dict[int, float] = field(default_factory=dict)
    probe_reports: dict[int, float] = field(default_factory=dict)

    @property
    def last_epoch(self) -> int:
        """The last reported epoch, 0 before the first report."""
        return next(reversed(self.reports), 0)

    @property
    def last_probe_epoch(self) -> int:
        """The last epoch with a probe report, 0 before the first one."""
        return next(reversed(self.probe_reports), 0)


@dataclass
class CellState:
    """Progress of one cell: its trials, then the choice of a configuration.

    Attributes:
        trials: Trials asked for so far, by index.
        ended: Outcome by trial index, in the order in which the trials ended.
        under_way: Indices of the trials that have not ended.
        replicates: Identifiers of the replicates that have ended.
        choice: Configuration that the replicates train with; None while the cell searches.
        prior: True where the search has begun with trials of earlier studies.
        planned: Number of trials of a search on a virtual clock with several workers; None before it is recorded.
    """

    trials: list[TrialHistory] = field(default_factory=list)
    ended: dict[int, Outcome] = field(default_factory=dict)
    under_way: set[int] = field(default_factory=set)
    replicates: set[str] = field(default_factory=set)
    choice: ConfigurationChosen | None = None
    planned: int | None = None
    prior: bool = False


@dataclass
class StudyState:
    """Everything that a study's events say; only `apply` changes it.

    Attributes:
        cells: State of each cell that has an event, by the cell's key.
        outcomes: Last end of each job by its identifier; a retried or superseded job has none.
        failures: Identifier of each failed shared job, by the digest of its artifact.
        lost: Identifier of each shared job whose artifact is lost and has to be made again, by its digest.
        reused: Pretrainings of earlier studies from which jobs start, by the digest of their artifact.
        seconds: Wall-clock seconds spent in all launches.
        gpu_seconds: GPU seconds spent in all launches.

    Example:
        >>> state = StudyState.replay([TrialAsked("cell", 0, {"lr": 0.1}, {}), TimeSpent(2.0, 1.0)])
        >>> len(state.cells["cell"].trials), state.seconds
        (1, 2.0)
    """

    cells: dict[str, CellState] = field(default_factory=dict)
    outcomes: dict[str, JobFinished] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    lost: dict[str, str] = field(default_factory=dict)
    reused: dict[str, PretrainingReused] = field(default_factory=dict)
    seconds: float = 0.0
    gpu_seconds: float = 0.0

    @classmethod
    def replay(cls, events: Iterable[Event]) -> StudyState:
        """Return the state after `events`."""
        state = cls()
        for event in events:
            state.apply(event)
        return state

    @property
    def ended(self) -> int:
        """Number of jobs that need not run any more: those that ended and pretrainings of other studies."""
        return len(self.outcomes) + len(self.reused)

    def cell(self, key: str) -> CellState:
        """Return the state of a cell, a new one for a cell without events."""
        return self.cells.setdefault(key, CellState())

    def apply(self, event: Event) -> None:
        """Change the state by one event."""
        match event:
            case PriorRead():
                self.cell(event.cell).prior = True
            case SearchPlanned():
                self.cell(event.cell).planned = event.trials
            case TrialAsked():
                cell = self.cell(event.cell)
                cell.under_way.add(len(cell.trials))
                cell.trials.append(TrialHistory(event.params, event.system_attrs))
            case EpochReported():
                self.cell(event.cell).trials[event.index].reports[event.epoch] = event.value
            case ProbeReported():
                self.cell(event.cell).trials[event.index].probe_reports[event.epoch] = event.value
            case ConfigurationChosen():
                self._choose(event)
            case CellReopened():
                self.cell(event.cell).choice = None
            case TimeSpent():
                self.seconds += event.seconds
                self.gpu_seconds += event.gpu_seconds
            case JobFinished():
                self._finish(event)
            case PretrainingReused():
                self.reused[event.digest] = event
            case JobRetried():
                self._retry(event)

    def _choose(self, event: ConfigurationChosen) -> None:
        cell = self.cell(event.cell)
        cell.choice = event
        for job in [job for job in cell.replicates if event.supersedes(self.outcomes[job])]:
            del self.outcomes[job]
            cell.replicates.discard(job)

    def _finish(self, event: JobFinished) -> None:
        self.outcomes[event.job] = event
        self.lost.pop(event.digest, None)
        if event.cell is None:
            if event.outcome.status == "failed":
                self.failures[event.digest] = event.job
            return
        cell = self.cell(event.cell)
        if event.kind == "trial":
            cell.ended[event.index] = event.outcome
            cell.under_way.discard(event.index)
        else:
            cell.replicates.add(event.job)

    def _retry(self, event: JobRetried) -> None:
        self.outcomes.pop(event.job, None)
        self.failures.pop(event.digest, None)
        if event.cell is None:
            if isinstance(event, JobLost):
                self.lost[event.digest] = event.job
            return
        cell = self.cell(event.cell)
        cell.replicates.discard(event.job)
        if event.kind == "trial":
            cell.ended.pop(event.index, None)
            cell.under_way.add(event.index)
            trial = cell.trials[event.index]
            cell.trials[event.index] = TrialHistory(trial.params, trial.system_attrs)
