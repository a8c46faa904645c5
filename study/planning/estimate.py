"""Estimated cost of a study, from short measurements of its stages on this machine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from study.config.spec import StudySpec
from study.planning.calibration import Calibration, device_name
from study.planning.finished import FinishedWork
from study.planning.jobs import Job
from study.planning.plan import Plan
from study.stages import STAGES


@dataclass(frozen=True)
class CostEstimate:
    """Estimated cost of what is left of a study.

    Attributes:
        hours: hours that all jobs of a kind take on one worker, by kind.
        gpu_hours: GPU-hours of all jobs.
        device: name of the device that was measured.
        finished: number of jobs by kind that have ended and are not counted.
    """

    hours: Mapping[str, float]
    gpu_hours: float
    device: str
    finished: Mapping[str, int] = field(default_factory=dict)

    @property
    def total(self) -> float:
        """Hours of all jobs together."""
        return sum(self.hours.values())


def estimate(
    plan: Plan, rates: Calibration, finished: FinishedWork | None = None, *, rough: bool = False
) -> CostEstimate:
    """Return the hours of a study; early stopping and pruning, which reduce them, are ignored.

    Args:
        plan: plan of the study.
        rates: measured rates; what is missing is measured by a few training steps.
        finished: work that is not counted; None counts all.
        rough: measure what is missing by steps of two images, which takes a moment for large images, too.

    Raises:
        DataError: a dataset is not at the configured path, so that its size is unknown.
    """
    done = finished or FinishedWork()
    hours, ended, gpu_hours = dict.fromkeys(plan.planned(), 0.0), Counter[str](), 0.0
    shared: set[str] = set()
    for cell in plan.cells:
        spec, replicate = plan.resolve(cell.key, {}), plan.replicate(cell.key, 0, {})
        left: list[tuple[str, Job, int]] = []
        for job in plan.shared_jobs(cell.key, {}):
            if job.digest not in shared:
                shared.add(job.digest)
                ended[job.kind] += done.has_artifact(job.digest)
                left.append((job.kind, job, 1 - done.has_artifact(job.digest)))
        for kind, count in (("trial", plan.trials(cell.key)), ("replicate", plan.spec.replicates.runs)):
            over = min(count, done.jobs.get((cell.key, kind), 0))
            ended[kind] += over
            left.append((kind, replicate, count - over))
        for kind, job, count in left:
            each = _hours(spec, job, rates, rough=rough) if count else 0.0
            hours[kind] += count * each
            gpu_hours += count * each * job.resources.gpus
    return CostEstimate(hours, gpu_hours, device_name(), {kind: count for kind, count in ended.items() if count})


def _hours(spec: StudySpec, job: Job, rates: Calibration, *, rough: bool) -> float:
    """Return the hours of one job; 0 for a stage whose cost is not known."""
    workload = STAGES[job.stage].workload(spec, job)
    return workload.hours(rates, rough=rough) if workload is not None else 0.0
