"""Estimated cost of a study, from short measurements of its stages on this machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from study.config.spec import StudySpec
from study.planning.calibration import Calibration, device_name
from study.planning.jobs import Job
from study.planning.plan import Plan
from study.stages import STAGES


@dataclass(frozen=True)
class CostEstimate:
    """Estimated cost of a study.

    Attributes:
        hours: hours that all jobs of a kind take on one worker, by kind.
        device: name of the device that was measured.
    """

    hours: Mapping[str, float]
    device: str

    @property
    def total(self) -> float:
        """Hours of all jobs together."""
        return sum(self.hours.values())


def estimate(plan: Plan, rates: Calibration) -> CostEstimate:
    """Return the hours of a study; early stopping and pruning, which reduce them, are ignored.

    Args:
        plan: plan of the study.
        rates: measured rates; what is missing is measured by a few training steps.

    Raises:
        DataError: a dataset is not at the configured path, so that its size is unknown.
    """
    hours = dict.fromkeys(plan.planned(), 0.0)
    counted: set[str] = set()
    for cell in plan.cells:
        spec, replicate = plan.resolve(cell.key, {}), plan.replicate(cell.key, 0, {})
        for job in plan.shared_jobs(cell.key, {}):
            if job.digest not in counted:
                counted.add(job.digest)
                hours[job.kind] += _hours(spec, job, rates)
        each = _hours(spec, replicate, rates)
        hours["trial"] += plan.trials(cell.key) * each
        hours["replicate"] += plan.spec.replicates.runs * each
    return CostEstimate(hours, device_name())


def _hours(spec: StudySpec, job: Job, rates: Calibration) -> float:
    """Return the hours of one job; 0 for a stage whose cost is not known."""
    workload = STAGES[job.stage].workload(spec, job)
    return workload.hours(rates) if workload is not None else 0.0
