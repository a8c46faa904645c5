"""The search of one cell: the jobs of its trials, and the decisions about them.

The search is rebuilt from the ledger's events when something first asks for it: a cell that has chosen its
configuration needs it no more, so that a study starts quickly from a long ledger.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from study.config.search import NoPruner
from study.planning.jobs import Job, Outcome
from study.planning.plan import Plan
from study.scheduling.cell_search import CellSearch, Proposal
from study.scheduling.objectives import OBJECTIVE, PROBE, objective_values
from study.scheduling.prior import Observation
from study.scheduling.pruning import ProbePruner
from study.scheduling.state import CellState
from study.scheduling.virtual_clock import Stop, Timing, VirtualClock
from study.storage.events import (
    ConfigurationChosen,
    EpochReported,
    Event,
    JobFinished,
    JobRetried,
    PriorRead,
    ProbeReported,
    SearchPlanned,
    TrialAsked,
)
from trainables.common.seeds import derive


class CellSchedule:
    """Trials of one cell on their virtual clock; a cell without a search has none.

    Args:
        plan: Plan of the study.
        key: Key of the cell.
        state: State of the cell, which the scheduler changes.
        workers: Workers of the clock of a search that has begun; None for the setting of the study file.
    """

    def __init__(self, plan: Plan, key: str, state: CellState, workers: int | None) -> None:
        self._plan, self._key, self._state = plan, key, state
        self._spec = plan.search(key)
        self.trials = plan.trials(key)
        self.workers = self._spec.workers if workers is None else workers
        self._parts: tuple[CellSearch, ProbePruner, VirtualClock] | None = None
        self._waiting: deque[Event] = deque()
        self._jobs: dict[int, Job] = {}

    @property
    def wants_trial(self) -> bool:
        """True if a new trial is due."""
        return self._decided().wants_trial

    @property
    def searching(self) -> bool:
        """True until all trials have ended on the clock."""
        return self.trials > 0 and not self._decided().finished

    def beginning(self, prior: Callable[[str], Sequence[Observation]]) -> Iterator[Event]:
        """Yield what has yet to be recorded before the search goes on: earlier trials, and a new number of trials."""
        if self.trials and self._spec.prior and not self._state.prior and not self._state.trials:
            known = prior(self._key)
            yield PriorRead(self._key, [each.params for each in known], [each.values for each in known])
        if self.trials and self.workers > 1 and self._state.planned != self.trials:
            yield SearchPlanned(self._key, self.trials, self.workers)

    def ask(self) -> TrialAsked:
        """Return the proposal of the next trial, which has yet to be recorded."""
        search, _, _ = self._known()
        index, proposal = len(self._state.trials), search.ask()
        job = self._jobs[index] = self._plan.trial(self._key, index, proposal.params)
        return TrialAsked(self._key, index, proposal.params, proposal.system_attrs, asdict(self._timing(job)))

    def open_trials(self) -> list[Job]:
        """Return the jobs of the trials that have not ended."""
        return [self.job(index) for index in sorted(self._state.under_way)]

    def job(self, index: int) -> Job:
        """Return the job of a trial; that of an open one is built once."""
        if index in self._jobs:
            return self._jobs[index]
        job = self._plan.trial(self._key, index, self._state.trials[index].params)
        if index not in self._state.ended:
            self._jobs[index] = job
        return job

    def stop(self, index: int) -> Stop | None:
        """Return the decision to stop a trial; None as long as there is none."""
        return self._decided().stop(index)

    def corrections(self) -> Iterator[tuple[Job, Outcome]]:
        """Yield the trials that had ended before the decision that stops them could be taken, as stopped."""
        for index in list(self._decided().unheeded):
            stop, outcome = self.stop(index), self._state.ended.get(index)
            if stop is not None and outcome is not None and outcome.status != "stopped":
                yield self.job(index), replace(stopped(stop), seconds=outcome.seconds)

    def choice(self) -> ConfigurationChosen | None:
        """Return the choice of the best trial; None if no trial completed."""
        values = {index: self._values(outcome) for index, outcome in self._state.ended.items()}
        completed = {index: each[0] for index, each in sorted(values.items()) if each is not None}
        if self.trials and not completed:
            return None
        best = max(completed, key=completed.__getitem__, default=None)
        params: Mapping[str, Any] = {} if best is None else self._state.trials[best].params
        return ConfigurationChosen(self._key, best, params)

    def apply(self, event: Event) -> None:
        """Note an event of the cell's trials, which search, pruners and clock learn when something asks for them."""
        self._waiting.append(event)

    def _decided(self) -> VirtualClock:
        """Return the clock after all events so far."""
        return self._known()[2]

    def _known(self) -> tuple[CellSearch, ProbePruner, VirtualClock]:
        """Return search, pruner and clock after all events so far."""
        if self._parts is None:
            search = CellSearch(self._spec, derive(self._plan.spec.seed, "sampler"))
            probe = ProbePruner(self._spec.pretext_pruner)
            self._parts = search, probe, VirtualClock(self._spec, search, probe, self.workers)
            if self.workers == 1:
                self._parts[2].plan(self.trials)
        while self._waiting:
            self._learn(self._waiting.popleft(), *self._parts)
        return self._parts

    def _learn(self, event: Event, search: CellSearch, probe: ProbePruner, clock: VirtualClock) -> None:
        match event:
            case PriorRead():
                pairs = zip(event.params, event.values, strict=True)
                search.tell_prior([Observation(dict(params), list(values)) for params, values in pairs])
            case SearchPlanned():
                clock.plan(event.trials)
            case TrialAsked():
                search.replay(event.index, Proposal(event.params, event.system_attrs))
                clock.asked(event.index, self._recorded_timing(event))
            case EpochReported():
                clock.reported(event.index, event.epoch, event.value)
            case ProbeReported():
                clock.probe_reported(event.index, event.epoch, event.value)
            case JobFinished():
                self._jobs.pop(event.index, None)
                if event.outcome.status == "stopped":
                    clock.stopped(event.index)
                else:
                    clock.ended(event.index, self._values(event.outcome))
            case JobRetried():
                trial = self._state.trials[event.index]
                if clock.retry(event.index, self._timing(self.job(event.index))):
                    search.retry(event.index, Proposal(trial.params, trial.system_attrs))
                    probe.retry(event.index)

    def _timing(self, job: Job) -> Timing:
        """Return the length of a trial on the clock; pretraining counts where it may be pruned."""
        if isinstance(self._spec.pretext_pruner, NoPruner):
            return Timing(job.epochs, job.report_every)
        before = sum(source.epochs for source in self._plan.sources_of(job) if source.stage == "pretext")
        return Timing(job.epochs, job.report_every, before)

    def _recorded_timing(self, event: TrialAsked) -> Timing:
        if event.timing:
            return Timing(**event.timing)
        return Timing(self.job(event.index).epochs)

    def _values(self, outcome: Outcome) -> list[float] | None:
        """Return the value of each objective that a trial reached, None if it lacks one."""
        return objective_values(outcome, self._spec.objectives, self._plan.spec.resources.downstream.gpus_per_job)


def stopped(stop: Stop) -> Outcome:
    """Return the outcome of a trial that is stopped."""
    if stop.probe:
        reason = f"its pretraining was pruned at epoch {stop.epoch}"
        return Outcome("stopped", {PROBE: stop.value}, 0, 0.0, reason)
    return Outcome("stopped", {OBJECTIVE: stop.value}, stop.epoch, 0.0)


def begun_workers(events: Iterable[Event]) -> dict[str, int]:
    """Return the workers of the virtual clock of each search that has begun; 1 where an earlier version began it."""
    found: dict[str, int] = {}
    for event in events:
        if isinstance(event, SearchPlanned):
            found.setdefault(event.cell, event.workers)
        elif isinstance(event, TrialAsked):
            found.setdefault(event.cell, 1)
    return found
