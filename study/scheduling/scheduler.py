"""The scheduler of a study: which job runs next, from the study's plan and its state.

Each cell searches (on a virtual clock, so that a study is repeatable whatever the timing), then chooses the
configuration with the best validation metric, then trains the replicates. Cells run at the same time. A job whose
input is missing (a pretraining, pseudo-labels) waits without holding resources while one shared job makes that input.
There is no Ray and no clock in here, and no state but the fold of the ledger's events.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from study.planning.jobs import DEPENDENCY_FAILED, Job, Outcome, ResourceRequest
from study.planning.plan import Plan
from study.scheduling.cell_schedule import CellSchedule, begun_workers, stopped
from study.scheduling.lost import lost_sources
from study.scheduling.objectives import OBJECTIVE, PROBE
from study.scheduling.prior import Observation
from study.scheduling.pruning import chained_epoch, known_probes
from study.scheduling.state import CellState, StudyState
from study.scheduling.virtual_clock import Stop
from study.storage.events import (
    CellReopened,
    E,
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


class EventLog(Protocol):
    """An append-only list of events, as the ledger is.

    Attributes:
        events: All events so far, in order.
    """

    events: list[Event]

    def append(self, event: E) -> E:
        """Store an event and return it with its time."""
        ...


class JobScheduler:
    """Schedule jobs and record their results.

    Args:
        plan: Plan of the study, which builds its jobs.
        ledger: Log to which every event is appended; the events that it holds are replayed first.
        has_artifact: Returns True if the artifact with this digest can be read.
        prior: Returns the trials of earlier studies with which the search of a cell begins; asked once in its life.

    Attributes:
        plan: Plan of the study, which builds its jobs.
        state: Fold of all events so far; only the scheduler applies events to it.
        running: Jobs that were started and have not ended, by identifier.
        corrected: Outcomes that replaced recorded ones since the caller last emptied the list: a trial had ended before
            the search decided to stop it at an earlier epoch.
    """

    def __init__(
        self,
        plan: Plan,
        ledger: EventLog,
        has_artifact: Callable[[str], bool],
        prior: Callable[[str], Sequence[Observation]] = lambda key: (),
    ) -> None:
        self.plan, self._ledger, self._has_artifact = plan, ledger, has_artifact
        self.state = StudyState()
        self.running: dict[str, Job] = {}
        self.corrected: list[JobFinished] = []
        begun, keys = begun_workers(ledger.events), [cell.key for cell in plan.cells]
        self._cells = {key: CellSchedule(plan, key, self.state.cell(key), begun.get(key)) for key in keys}
        self._open_jobs: dict[str, list[Job]] = {}
        self._pretrainings: dict[tuple[str, int], str | None] = {}
        for event in list(ledger.events):
            self._apply(event)
        for key, schedule in self._cells.items():
            for event in schedule.beginning(prior):
                self._record(event)
            cell = self.state.cell(key)
            if cell.choice is not None and len(cell.ended) < schedule.trials:
                self._record(CellReopened(key))

    @property
    def outcomes(self) -> Mapping[str, JobFinished]:
        """Last end of each job, by the job's identifier."""
        return self.state.outcomes

    @property
    def done(self) -> bool:
        """True if no job runs and none is left to run."""
        return not self.running and next(self._ready(), None) is None

    def next_job(self, free: ResourceRequest) -> Job | None:
        """Return the next job that fits into the free CPUs and GPUs, and count it as running; None if none fits."""
        for job in self._ready():
            if job.resources.fits(free):
                self.running[job.id] = job
                return job
        return None

    def report(self, job_id: str, epoch: int, metrics: Mapping[str, float]) -> bool:
        """Record a running job's metrics.

        Args:
            job_id: Identifier of the job; one that does not run is ignored.
            epoch: Epochs trained so far, from 1; an epoch that was reported before is ignored.
            metrics: Value by name after that epoch.

        Returns:
            True if a pruner wants the job to stop now.
        """
        job = self.running.get(job_id)
        if job is not None and job.shared and PROBE in metrics:
            return self._report_probe(job, epoch, metrics[PROBE])
        if job is None or job.cell is None or job.kind != "trial" or OBJECTIVE not in metrics:
            return False
        trial = self.state.cell(job.cell).trials[job.index]
        if epoch > trial.last_epoch and self._stop(job) is None:
            self._record(EpochReported(job_id, job.cell, job.index, epoch, metrics[OBJECTIVE]))
        return self._stop(job) is not None

    def finish(self, job_id: str, outcome: Outcome) -> None:
        """Record the outcome of a running job; that of a stopped trial is counted to the epoch of the decision."""
        job = self.running.pop(job_id)
        stop = self._stop(job)
        if stop is not None and outcome.status == "stopped":
            decided = stopped(stop)
            if stop.probe or outcome.epochs != decided.epochs:  # it trained on until the decision could be taken
                outcome = replace(decided, seconds=outcome.seconds)
        self._record(JobFinished(job.id, job.kind, job.cell, job.index, dict(job.params), job.digest, outcome))

    def reuse(self, pretraining: PretrainingReused) -> None:
        """Record a pretraining of an earlier study from which a job starts."""
        self._record(pretraining)

    def reopen(self, job: Job) -> None:
        """Record that the files of a finished job are lost, so that it runs again."""
        self._record(JobLost(job.id, job.kind, job.cell, job.index, job.digest))

    def spend(self, seconds: float, gpu_seconds: float) -> None:
        """Record wall-clock seconds and GPU seconds that count against the budget."""
        self._record(TimeSpent(seconds, gpu_seconds))

    def job_of(self, finished: JobFinished) -> Job | None:
        """Rebuild the job of an outcome; None for a shared job, which belongs to no cell."""
        if finished.cell is None:
            return None
        build = self.plan.trial if finished.kind == "trial" else self.plan.replicate
        return build(finished.cell, finished.index, finished.params)

    def _report_probe(self, pretext: Job, epoch: int, value: float) -> bool:
        """Record a pretraining's probe for every trial that waits for it.

        Returns:
            True if the pruners of all these trials want it to stop; False if a replicate waits for it.
        """
        decisions = []
        for cell in self._cells:
            for job in self._open(cell):
                sources = self.plan.sources_of(job)
                if pretext.digest not in [source.digest for source in sources]:
                    continue
                if job.kind == "replicate":
                    return False
                step = chained_epoch(sources, pretext, epoch)
                trial = self.state.cell(cell).trials[job.index]
                if step > trial.last_probe_epoch and self._stop(job) is None:
                    self._record(ProbeReported(cell, job.index, step, value))
                decisions.append(self._stop(job) is not None)
        return bool(decisions) and all(decisions)

    def _ready(self) -> Iterator[Job]:
        """Yield the jobs that could start now: shared ones first, because most others wait for them, then trials."""
        ready: list[Job] = []
        missing = {job.digest: job for job in lost_sources(self.plan, self.state) if self._could_run(job)}
        for cell in self._cells:
            for job in self._open(cell):
                if job.id in self.running:
                    continue
                if all(map(self._has_artifact, job.inputs.values())):
                    ready.append(job)
                else:
                    missing |= {source.digest: source for source in self._next_sources(job)}
        yield from (job for job in missing.values() if job.id not in self.running)
        yield from sorted(ready, key=lambda job: (job.kind != "trial", job.index))

    def _next_sources(self, job: Job) -> list[Job]:
        """Return the shared jobs that `job` waits for and that could run now."""
        return [source for source in self.plan.sources_of(job) if self._could_run(source)]

    def _could_run(self, source: Job) -> bool:
        """Return True for a shared job whose artifact is missing and whose inputs are not."""
        return not self._has_artifact(source.digest) and all(map(self._has_artifact, source.inputs.values()))

    def _open(self, key: str) -> list[Job]:
        """Return a cell's jobs that wait only for resources or for a shared job, running ones included."""
        while key not in self._open_jobs:
            jobs = self._open_jobs[key] = self._next_jobs(key, self.state.cell(key))
            for job in jobs:
                outcome = self._outcome_without_run(job)
                if outcome is not None and job.id not in self.running:
                    self.running[job.id] = job
                    self.finish(job.id, outcome)
        return self._open_jobs[key]

    def _next_jobs(self, key: str, cell: CellState) -> list[Job]:
        """Return the open trials of a searching cell, or the replicates that are left after its choice."""
        schedule = self._cells[key]
        if cell.choice is None and schedule.trials:
            while schedule.wants_trial:
                self._ask(key, schedule)
            for job, outcome in schedule.corrections():
                self._correct(job, outcome)
            open_trials = schedule.open_trials()
            if open_trials or schedule.searching:
                return open_trials
        choice = cell.choice
        if choice is None:
            found = schedule.choice()
            if found is None:
                return []
            choice = self._record(found)
        replicates = (self.plan.replicate(key, index, choice.params) for index in range(self.plan.spec.replicates.runs))
        return [job for job in replicates if job.id not in self.outcomes]

    def _ask(self, key: str, schedule: CellSchedule) -> None:
        """Record a cell's next trial; it learns what is known of its pretraining's probe."""
        asked = self._record(schedule.ask())
        if asked.timing["before"] and schedule.workers > 1:
            for epoch, value in known_probes(self.plan, self.state, key, asked.index, self._pretrainings).items():
                self._record(ProbeReported(key, asked.index, epoch, value))

    def _correct(self, job: Job, outcome: Outcome) -> None:
        """Record another outcome of a trial that has ended."""
        self.running[job.id] = job
        self.finish(job.id, outcome)
        self.corrected.append(self.outcomes[job.id])

    def _stop(self, job: Job) -> Stop | None:
        """Return the decision to stop a trial; None for other jobs."""
        return self._cells[job.cell].stop(job.index) if job.kind == "trial" and job.cell is not None else None

    def _outcome_without_run(self, job: Job) -> Outcome | None:
        """Return the outcome of a job that need not run: an input failed, or a pruner stopped it; None otherwise."""
        failures = self.state.failures
        sources = self.plan.sources_of(job) if failures else []
        failed = next((failures[source.digest] for source in sources if source.digest in failures), None)
        if failed is not None:
            return Outcome("failed", {}, 0, 0.0, f"{DEPENDENCY_FAILED}{failed}")
        stop = self._stop(job)
        return None if stop is None else stopped(stop)

    def _record(self, event: E) -> E:
        """Append an event to the ledger, then apply it."""
        event = self._ledger.append(event)
        self._apply(event)
        return event

    def _apply(self, event: Event) -> None:
        """Change state, searches and pruners by one event, alike for a new event and for one of an earlier launch."""
        self.state.apply(event)
        match event:
            case PriorRead() | SearchPlanned() | TrialAsked():
                self._cells[event.cell].apply(event)
            case EpochReported() | ProbeReported():
                self._cells[event.cell].apply(event)
                self._refresh(event.cell)
            case CellReopened():
                self._open_jobs.pop(event.cell, None)
            case JobFinished(cell=None):
                if event.outcome.status == "failed":
                    self._open_jobs.clear()
            case JobFinished(cell=str(key)):
                self._open_jobs.pop(key, None)
                if event.kind == "trial":
                    self._cells[key].apply(event)
            case JobRetried():
                self._open_jobs.clear()
                if event.kind == "trial" and event.cell is not None:
                    self._cells[event.cell].apply(event)

    def _refresh(self, key: str) -> None:
        """Compute a cell's open jobs anew where its clock asks for a trial or has stopped one of them."""
        known = self._open_jobs.get(key, [])
        if known and (self._cells[key].wants_trial or any(self._stop(job) is not None for job in known)):
            self._open_jobs.pop(key)
