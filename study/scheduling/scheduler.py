"""The scheduler of a study: which job runs next, from the study's plan and its state.

Each cell searches (one trial after another, so that a study is repeatable whatever the timing), then chooses the
configuration with the best validation metric, then trains the replicates. Cells run at the same time. A job whose
input is missing (a pretraining, pseudo-labels) waits without holding resources while one shared job makes that input.
There is no Ray and no clock in here, and no state but the fold of the ledger's events.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from study.planning.jobs import DEPENDENCY_FAILED, Job, Outcome, ResourceRequest
from study.planning.plan import Plan
from study.scheduling.lost import lost_sources
from study.scheduling.objectives import OBJECTIVE, PROBE
from study.scheduling.pruning import chained_epoch, early_stop
from study.scheduling.searches import CellSearches
from study.scheduling.state import CellState, StudyState
from study.storage.events import (
    CellReopened,
    ConfigurationChosen,
    E,
    EpochReported,
    Event,
    JobFinished,
    JobLost,
    JobRetried,
    PretrainingReused,
    ProbeReported,
    TimeSpent,
    TrialAsked,
)
from trainables.common.seeds import derive


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

    Attributes:
        plan: Plan of the study, which builds its jobs.
        state: Fold of all events so far; only the scheduler applies events to it.
        running: Jobs that were started and have not ended, by identifier.
    """

    def __init__(self, plan: Plan, ledger: EventLog, has_artifact: Callable[[str], bool]) -> None:
        self.plan, self._ledger, self._has_artifact = plan, ledger, has_artifact
        self.state = StudyState()
        self.running: dict[str, Job] = {}
        seed = derive(plan.spec.seed, "sampler")
        self._trials = {cell.key: plan.trials(cell.key) for cell in plan.cells}
        specs = {cell.key: plan.search(cell.key) for cell in plan.cells}
        resources = plan.spec.resources.downstream
        self._searches = CellSearches(specs, seed, resources.gpus * resources.workers)
        self._open_jobs: dict[str, list[Job]] = {}
        for event in list(ledger.events):
            self._apply(event)
        for key, trials in self._trials.items():
            cell = self.state.cell(key)
            if cell.choice is not None and len(cell.ended) < trials:
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
        if epoch > trial.last_epoch:
            self._record(EpochReported(job_id, job.cell, job.index, epoch, metrics[OBJECTIVE]))
        return trial.last_epoch < job.epochs and self._searches.search(job.cell).should_prune(job.index)

    def finish(self, job_id: str, outcome: Outcome) -> None:
        """Record the outcome of a running job."""
        job = self.running.pop(job_id)
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
        for cell in self._trials:
            for job in self._open(cell):
                sources = self.plan.sources_of(job)
                if pretext.digest not in [source.digest for source in sources]:
                    continue
                if job.kind == "replicate":
                    return False
                step = chained_epoch(sources, pretext, epoch)
                trial, probe = self.state.cell(cell).trials[job.index], self._searches.probe(cell)
                if step > trial.last_probe_epoch and not probe.should_prune(job.index):
                    self._record(ProbeReported(cell, job.index, step, value))
                decisions.append(probe.should_prune(job.index))
        return bool(decisions) and all(decisions)

    def _ready(self) -> Iterator[Job]:
        """Yield the jobs that could start now: shared ones first, because most others wait for them, then trials."""
        ready: list[Job] = []
        missing = {job.digest: job for job in lost_sources(self.plan, self.state) if self._could_run(job)}
        for cell in self._trials:
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
        """Return the trial that a searching cell runs next, or the replicates that are left after its choice."""
        if cell.choice is None and len(cell.ended) < self._trials[key]:
            return [self._next_trial(key, cell)]
        choice = cell.choice or self._choose(key, cell)
        if choice is None:
            return []
        replicates = (self.plan.replicate(key, index, choice.params) for index in range(self.plan.spec.replicates.runs))
        return [job for job in replicates if job.id not in self.outcomes]

    def _next_trial(self, key: str, cell: CellState) -> Job:
        """Return the job of the first open trial, asking for a new configuration if all have ended."""
        if len(cell.trials) == len(cell.ended):
            proposal = self._searches.search(key).ask()
            self._record(TrialAsked(key, len(cell.trials), proposal.params, proposal.system_attrs))
        index = cell.open_trial
        assert index is not None
        return self.plan.trial(key, index, cell.trials[index].params)

    def _choose(self, key: str, cell: CellState) -> ConfigurationChosen | None:
        """Record the choice of the best trial; None if no trial completed."""
        values = {index: self._searches.values(key, outcome) for index, outcome in cell.ended.items()}
        completed = {index: each[0] for index, each in values.items() if each is not None}
        if self._trials[key] and not completed:
            return None
        best = max(completed, key=completed.__getitem__, default=None)
        params: Mapping[str, Any] = {} if best is None else cell.trials[best].params
        return self._record(ConfigurationChosen(key, best, params))

    def _outcome_without_run(self, job: Job) -> Outcome | None:
        """Return the outcome of a job that need not run: an input failed, or a pruner stopped it; None otherwise."""
        failures = self.state.failures
        sources = self.plan.sources_of(job) if failures else []
        failed = next((failures[source.digest] for source in sources if source.digest in failures), None)
        if failed is not None:
            return Outcome("failed", {}, 0, 0.0, f"{DEPENDENCY_FAILED}{failed}")
        if job.kind != "trial" or job.cell is None:
            return None
        return early_stop(
            job,
            self.state.cell(job.cell).trials[job.index],
            prune_trial=self._searches.search(job.cell).should_prune(job.index),
            prune_pretext=self._searches.probe(job.cell).should_prune(job.index),
        )

    def _record(self, event: E) -> E:
        """Append an event to the ledger, then apply it."""
        event = self._ledger.append(event)
        self._apply(event)
        return event

    def _apply(self, event: Event) -> None:
        """Change state and searches by one event, alike for a new event and for one of an earlier launch."""
        self.state.apply(event)
        self._searches.apply(event)
        match event:
            case ProbeReported() if event.cell in self._open_jobs:
                if self._searches.probe(event.cell).should_prune(event.index):
                    self._open_jobs.pop(event.cell)
            case CellReopened():
                self._open_jobs.pop(event.cell, None)
            case JobFinished(cell=None):
                if event.outcome.status == "failed":
                    self._open_jobs.clear()
            case JobFinished():
                self._open_jobs.pop(str(event.cell), None)
            case JobRetried():
                self._open_jobs.clear()
