"""What a study does next. Pure bookkeeping: no Ray, no clock; its state is the ledger replayed.

Each cell searches (its trials one after another, so that a sweep is repeatable whatever the timing), then chooses the
configuration with the best validation metric, then trains the replicates. Cells run side by side. A job whose
input is missing (a pretraining, pseudo-labels) waits, holding nothing, while that is made once for all who need it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from study.planning.jobs import Job, Outcome, ResourceRequest
from study.planning.plan import Plan
from study.scheduling.cell_search import CellSearch, Proposal
from study.storage.ledger import Event, Ledger, outdated
from trainables.common.seeds import derive

OBJECTIVE = "val/dice"
"""The metric by which trials are compared; of the validation split, as no other may steer a search."""

PROBE = "val/probe_dice"
"""The metric by which pretrainings are compared; likewise."""


@dataclass
class _Cell:
    """Where one cell stands.

    `reported`, `value` and `falling_behind` are the newest trial's: its last epoch, the metric then, and whether the
    pruner wants it stopped. `probed`, `probe` and `unpromising` are the same of its pretraining. `open_jobs` is None
    when it has to be worked out again.
    """

    key: str
    trials: int
    search: CellSearch
    proposals: list[Proposal] = field(default_factory=list)
    ended: set[int] = field(default_factory=set)
    reported: int = 0
    falling_behind: bool = False
    value: float = math.nan
    probed: int = 0
    probe: float = math.nan
    unpromising: bool = False
    best: tuple[float, int] | None = None
    chosen: dict[str, Any] | None = None
    open_jobs: list[Job] | None = None

    def begin_trial(self) -> None:
        """Nothing is known of the newest trial yet."""
        self.reported, self.value, self.falling_behind = 0, math.nan, False
        self.probed, self.probe, self.unpromising = 0, math.nan, False


class JobScheduler:
    """Gives out jobs and takes their outcomes.

    Args:
        plan: of the study.
        ledger: everything that happens is appended to it; what it already holds is taken up first.
        has_artifact: whether a stage output with this digest is in the store.
    """

    def __init__(self, plan: Plan, ledger: Ledger, has_artifact: Callable[[str], bool]) -> None:
        self.plan, self._ledger, self._has_artifact = plan, ledger, has_artifact
        seed = derive(plan.spec.seed, "sampler")
        self._cells = {
            cell.key: _Cell(cell.key, plan.trials(cell.key), CellSearch(plan.search(cell.key), seed))
            for cell in plan.cells
        }
        self.running: dict[str, Job] = {}
        self.outcomes: dict[str, Event] = {}
        self.seconds = self.gpu_seconds = 0.0
        self._failed_source: dict[str, str] = {}
        for event in list(ledger.events):
            self._apply(event)
        for cell in self._cells.values():
            if cell.chosen is not None and len(cell.ended) < cell.trials:
                self._record("reopened", cell=cell.key)

    @property
    def done(self) -> bool:
        """Nothing is left to run."""
        return not self.running and next(self._ready(), None) is None

    def next(self, free: ResourceRequest) -> Job | None:
        """The next job that fits into the `free` cpus and gpus, now counted as running; None if there is none."""
        for job in self._ready():
            if fits(job.resources, free):
                self.running[job.id] = job
                return job
        return None

    def report(self, job_id: str, epoch: int, metrics: Mapping[str, float]) -> bool:
        """Take a running job's metrics after an epoch; True when it should stop now."""
        job = self.running.get(job_id)
        if job is not None and job.shared and PROBE in metrics:
            return self._probed(job, epoch, metrics[PROBE])
        if job is None or job.kind != "trial" or OBJECTIVE not in metrics:
            return False
        cell = self._cells[job.cell or ""]
        if epoch > cell.reported:
            self._record("reported", job=job_id, cell=cell.key, index=job.index, epoch=epoch, value=metrics[OBJECTIVE])
        return self._should_stop(cell, job)

    def finish(self, job_id: str, outcome: Outcome) -> None:
        """Take a running job's outcome."""
        job = self.running.pop(job_id)
        self._record(
            "finished",
            job=job.id,
            kind=job.kind,
            cell=job.cell,
            index=job.index,
            params=dict(job.params),
            digest=job.digest,
            **asdict(outcome),
        )

    def spend(self, seconds: float, gpu_seconds: float) -> None:
        """Record that so much time went by, and so much of the jobs' GPUs."""
        self._record("spent", seconds=seconds, gpu_seconds=gpu_seconds)

    def job_of(self, event: Event) -> Job | None:
        """The job of a "finished" event; None for a shared job, which belongs to no cell."""
        match event["kind"]:
            case "trial":
                return self.plan.trial(event["cell"], event["index"], event["params"])
            case "replicate":
                return self.plan.replicate(event["cell"], event["index"], event["params"])
        return None

    def _probed(self, pretext: Job, epoch: int, value: float) -> bool:
        """Tell every cell whose newest trial waits for this pretraining; it stops when none wants it any more."""
        waiting = []
        for cell in self._cells.values():
            for job in self._open(cell):
                sources = [source.digest for source in self.plan.sources_of(job)]
                if job.kind == "replicate" and pretext.digest in sources:
                    return False
                if job.kind == "trial" and pretext.digest in sources:
                    waiting.append(cell)
                    step = epoch + self._epochs_before(job, pretext)
                    if step > cell.probed and not cell.unpromising:
                        self._record("probed", cell=cell.key, index=job.index, epoch=step, value=value)
        return bool(waiting) and all(cell.unpromising for cell in waiting)

    def _epochs_before(self, job: Job, pretext: Job) -> int:
        """Epochs of the pretrainings that `pretext` goes on from."""
        before = 0
        for source in self.plan.sources_of(job):
            if source.digest == pretext.digest:
                break
            before += source.epochs if source.stage == pretext.stage else 0
        return before

    def _ready(self) -> Iterator[Job]:
        """The jobs that could start now: shared ones first, as most waits for them, then trials, then replicates."""
        ready: list[Job] = []
        missing: dict[str, Job] = {}
        for cell in self._cells.values():
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
        """The shared jobs that `job` waits for and that could run now."""
        missing = (source for source in self.plan.sources_of(job) if not self._has_artifact(source.digest))
        return [source for source in missing if all(map(self._has_artifact, source.inputs.values()))]

    def _failed_start(self, job: Job) -> str | None:
        """Why a shared job that `job` waits for failed, if one did."""
        if not self._failed_source:
            return None
        failed = (self._failed_source.get(source.digest) for source in self.plan.sources_of(job))
        return next((reason for reason in failed if reason is not None), None)

    def _open(self, cell: _Cell) -> list[Job]:
        """The cell's jobs that wait only for resources or for a shared job, running ones included."""
        while cell.open_jobs is None:
            cell.open_jobs = self._next_trial(cell) if cell.chosen is None else self._replicates(cell, cell.chosen)
            for job in cell.open_jobs:
                reason = self._failed_start(job)
                if reason is not None:
                    self._end(job, Outcome("failed", {}, 0, 0.0, f"what it needs failed: {reason}"))
                elif job.kind == "trial" and self._should_stop(cell, job):
                    self._end(job, Outcome("stopped", {OBJECTIVE: cell.value}, cell.reported, 0.0))
                elif job.kind == "trial" and cell.unpromising:
                    why = f"its pretraining fell behind at epoch {cell.probed}"
                    self._end(job, Outcome("stopped", {PROBE: cell.probe}, 0, 0.0, why))
        return cell.open_jobs

    def _next_trial(self, cell: _Cell) -> list[Job]:
        """The cell's trial to run, asking for a new configuration if the last one has ended; or the choice is made."""
        if len(cell.ended) < cell.trials:
            if len(cell.proposals) == len(cell.ended):
                proposal = cell.search.ask()
                self._record("asked", cell=cell.key, index=len(cell.proposals), **asdict(proposal))
            number = next(number for number in range(len(cell.proposals)) if number not in cell.ended)
            return [self.plan.trial(cell.key, number, cell.proposals[number].params)]
        if cell.trials and cell.best is None:
            return []
        index = cell.best[1] if cell.best else None
        params = cell.proposals[index].params if index is not None else {}
        self._record("chosen", cell=cell.key, index=index, params=params)
        return self._replicates(cell, params)

    def _replicates(self, cell: _Cell, params: Mapping[str, Any]) -> list[Job]:
        jobs = (self.plan.replicate(cell.key, index, params) for index in range(self.plan.spec.replicates))
        return [job for job in jobs if job.id not in self.outcomes]

    def _should_stop(self, cell: _Cell, job: Job) -> bool:
        return cell.falling_behind and cell.reported < job.epochs

    def _end(self, job: Job, outcome: Outcome) -> None:
        """Record the outcome of a job that need not run."""
        if job.id not in self.running:
            self.running[job.id] = job
            self.finish(job.id, outcome)

    def _record(self, event: str, **fields: Any) -> None:
        self._apply(self._ledger.append(event, **fields), live=True)

    def _apply(self, event: Event, *, live: bool = False) -> None:
        """Change the state by one ledger event; the same for events of this launch and of earlier ones."""
        match event["event"]:
            case "asked":
                cell = self._cells[event["cell"]]
                proposal = Proposal(event["params"], event["memory"])
                cell.proposals.append(proposal)
                cell.begin_trial()
                if not live:
                    cell.search.restore(proposal)
            case "reported":
                cell = self._cells[event["cell"]]
                cell.reported, cell.value = event["epoch"], event["value"]
                cell.falling_behind = cell.search.report(event["index"], event["epoch"], event["value"])
            case "probed":
                cell = self._cells[event["cell"]]
                cell.probed, cell.probe = event["epoch"], event["value"]
                cell.unpromising = cell.search.probe(event["index"], event["epoch"], event["value"])
                cell.open_jobs = None if cell.unpromising else cell.open_jobs
            case "chosen":
                self._cells[event["cell"]].chosen = event["params"]
                self.outcomes = {job: ended for job, ended in self.outcomes.items() if not outdated(ended, event)}
            case "reopened":
                cell = self._cells[event["cell"]]
                cell.chosen = cell.open_jobs = None
            case "spent":
                self.seconds += event["seconds"]
                self.gpu_seconds += event["gpu_seconds"]
            case "finished":
                self._apply_finished(event)
            case "retried":
                self._apply_retried(event)

    def _apply_retried(self, event: Event) -> None:
        """A job that failed is to be run again."""
        ended = self.outcomes.pop(event["job"])
        if ended["cell"] is None:
            self._failed_source.pop(ended["digest"], None)
        for each in self._cells.values():
            each.open_jobs = None
        if ended["kind"] == "trial":
            cell = self._cells[ended["cell"]]
            cell.ended.discard(ended["index"])
            cell.search.again(ended["index"], cell.proposals[ended["index"]])
            cell.begin_trial()

    def _apply_finished(self, event: Event) -> None:
        self.outcomes[event["job"]] = event
        if event["cell"] is None and event["status"] == "failed":
            self._failed_source[event["digest"]] = f"{event['kind']}: {event['reason'] or 'unknown'}"
            for cell in self._cells.values():
                cell.open_jobs = None
        if event["cell"] is None:
            return
        cell, index = self._cells[event["cell"]], event["index"]
        cell.open_jobs = None
        if event["kind"] != "trial":
            return
        cell.ended.add(index)
        values = self._reached(event) if event["status"] == "completed" else None
        value = None if values is None else values[0]
        cell.search.tell(index, values, stopped=event["status"] == "stopped")
        if value is not None and (cell.best is None or value > cell.best[0]):
            cell.best = (value, index)

    def _reached(self, event: Event) -> list[float] | None:
        """A completed trial's value of each objective; None if it lacks one."""
        gpus = self.plan.spec.resources.downstream.gpus * self.plan.spec.resources.downstream.workers
        cost = {"seconds": event["seconds"], "gpu_hours": event["seconds"] * gpus / 3600}
        known = {**event["metrics"], **cost}
        objectives = self.plan.spec.search.objectives
        return [known[name] for name in objectives] if all(name in known for name in objectives) else None


def fits(need: ResourceRequest, free: ResourceRequest) -> bool:
    """Whether `need`'s workers fit into the free cpus and gpus."""
    tolerance = 1e-6
    return need.workers * need.cpus <= free.cpus + tolerance and need.workers * need.gpus <= free.gpus + tolerance
