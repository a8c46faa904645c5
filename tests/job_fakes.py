"""Fakes of the collaborators of a job driver."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import create_autospec

from study.execution.job_driver import JobDriver
from study.planning.jobs import Job, Outcome, ResourceRequest
from study.progress import Progress
from study.scheduling.state import StudyState
from study.storage.artifacts import ArtifactStore
from study.storage.events import JobFinished, PretrainingReused
from study.storage.workspace import StudyFolder
from study.tracking.tracker import Tracker

FREE = ResourceRequest(cpus=4)


def make_job(number: int = 0, kind: str = "trial", **changes: Any) -> Job:
    """A job of cell "a" that trains four epochs."""
    values: dict[str, Any] = {
        "id": f"a-{kind}-{number}",
        "kind": kind,
        "stage": "downstream",
        "cell": "a",
        "levels": {"method": "simclr"},
        "index": number,
        "params": {},
        "config": {"data": "frames"},
        "digest": f"{number:064d}",
        "inputs": {},
        "frames": "",
        "epochs": 4,
        "resources": ResourceRequest(),
    }
    return Job(**{**values, **changes})


@dataclass
class FakeScheduler:
    """Scheduler that starts given jobs in order and stops those of `stop_at` at their epochs."""

    waiting: list[Job]
    stop_at: dict[str, int] = field(default_factory=dict)
    running: dict[str, Job] = field(default_factory=dict)
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    asked: list[ResourceRequest] = field(default_factory=list)
    state: StudyState = field(default_factory=StudyState)
    corrected: list[JobFinished] = field(default_factory=list)
    known: dict[str, Job] = field(default_factory=dict)
    """Jobs that can be rebuilt from their end."""
    sources: dict[str, list[Job]] = field(default_factory=dict)
    """Shared jobs that a job needs, by its identifier."""

    @property
    def plan(self) -> SimpleNamespace:
        study = SimpleNamespace(plugins=[])
        return SimpleNamespace(sources_of=lambda job: self.sources.get(job.id, []), study=study)

    @property
    def done(self) -> bool:
        return not self.waiting and not self.running

    def next_job(self, free: ResourceRequest) -> Job | None:
        self.asked.append(free)
        if not self.waiting:
            return None
        job = self.waiting.pop(0)
        self.running[job.id] = job
        return job

    def report(self, job_id: str, epoch: int, metrics: Mapping[str, float]) -> bool:
        return epoch >= self.stop_at.get(job_id, 99)

    def job_of(self, finished: JobFinished) -> Job | None:
        return self.known.get(finished.job)

    def reuse(self, pretraining: PretrainingReused) -> None:
        self.state.apply(pretraining)

    def finish(self, job_id: str, outcome: Outcome) -> None:
        del self.running[job_id]
        self.outcomes[job_id] = outcome


def make_driver(root: Path, *jobs: Job, stop_at: dict[str, int] | None = None) -> tuple[JobDriver, FakeScheduler]:
    """A driver of these jobs with a fake scheduler, tracker and progress display."""
    root.mkdir(parents=True, exist_ok=True)
    scheduler = FakeScheduler(list(jobs), stop_at or {})
    tracker, progress = create_autospec(Tracker, instance=True), create_autospec(Progress, instance=True)
    artifacts = ArtifactStore(root / "artifacts")
    driver = JobDriver(scheduler, StudyFolder(root), artifacts, tracker, progress)  # type: ignore[arg-type]
    return driver, scheduler
