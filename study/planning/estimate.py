"""Estimated cost of a study, from short measurements of its stages on this machine."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from study.planning.calibration import Calibration, device_name
from study.planning.finished import FinishedWork
from study.planning.jobs import Job
from study.planning.machine import free_on, measuring_device
from study.planning.network_check import NetworkCheck
from study.planning.plan import Plan
from study.planning.searched_jobs import searched_jobs
from study.stages import STAGES
from trainables.common.errors import UserError

MEASURED_SHARE = 0.4
"""Share of the free memory that the lower bound of a step may take for the step to be measured in this process.

The bound leaves out the optimizer, whose state is as large as weights and gradients together, and the images.
"""


@dataclass(frozen=True)
class CostEstimate:
    """Estimated cost of what is left of a study.

    Attributes:
        hours: hours that all jobs of a kind take on one worker, by kind.
        gpu_hours: GPU-hours of all jobs.
        device: names of the devices that were measured, joined by "and".
        finished: number of jobs by kind that have ended and are not counted.
        counted: number of jobs by kind that the hours are of.
    """

    hours: Mapping[str, float]
    gpu_hours: float
    device: str
    finished: Mapping[str, int] = field(default_factory=dict)
    counted: Mapping[str, int] = field(default_factory=dict)

    @property
    def total(self) -> float:
        """Hours of all jobs together."""
        return sum(self.hours.values())

    @property
    def hours_each(self) -> dict[str, float]:
        """Mean hours of one job, by kind."""
        return {kind: hours / max(1, self.counted.get(kind, 0)) for kind, hours in self.hours.items()}


def estimate(
    plan: Plan,
    rates: Calibration,
    finished: FinishedWork | None = None,
    *,
    rough: bool = False,
    free: float = math.inf,
) -> CostEstimate:
    """Return the hours of a study; early stopping and pruning, which reduce them, are ignored.

    A search of settings that shared jobs have counts as many versions of these jobs as it can need.

    Args:
        plan: plan of the study.
        rates: measured rates; what is missing is measured by a few training steps.
        finished: work that is not counted; None counts all.
        rough: measure what is missing by steps of two images, which takes a moment for large images, too.
        free: memory in GB that is free.

    Raises:
        DataError: a dataset is not at the configured path, so that its size is unknown.
        UserError: a step that is not measured yet is impossible, or could fill the free memory.
    """
    done, networks = finished or FinishedWork(), NetworkCheck()
    hours, ended, gpu_hours = dict.fromkeys(plan.planned(), 0.0), Counter[str](), 0.0
    counted = Counter[str]()
    shared: set[str] = set()
    devices: dict[str, None] = {}
    for cell in plan.cells:
        spec, replicate = plan.resolve(cell.key, {}), plan.replicate(cell.key, 0, {})
        left: list[tuple[str, Job, int]] = []
        for job in plan.shared_jobs(cell.key, {}):
            if job.digest not in shared:
                shared.add(job.digest)
                ended[job.kind] += done.has_artifact(job.digest)
                left.append((job.kind, job, 1 - done.has_artifact(job.digest)))
        for job, versions in searched_jobs(plan, cell.key):
            tried = done.jobs.get((cell.key, "trial"), 0)
            left.append((job.kind, job, max(0, versions - 1 - tried)))
        for kind, count in (("trial", plan.trials(cell.key)), ("replicate", plan.spec.replicates.runs)):
            over = min(count, done.jobs.get((cell.key, kind), 0))
            ended[kind] += over
            left.append((kind, replicate, count - over))
        for kind, job, count in left:
            if not count:
                continue
            workload = STAGES[job.stage].workload(spec, job)
            if workload is None:
                continue  # a stage whose cost is not known
            device = measuring_device(job.resources.gpus)
            devices[device_name(device)] = None
            if not workload.measured(rates, rough=rough):
                _require_measurable(plan, cell.key, networks, free_on(device, free))
            each = workload.hours(rates, rough=rough)
            hours[kind] += count * each
            counted[kind] += count
            gpu_hours += count * each * job.resources.gpus
    names = " and ".join(devices or [device_name(measuring_device(0))])
    return CostEstimate(hours, gpu_hours, names, {kind: count for kind, count in ended.items() if count}, counted)


def _require_measurable(plan: Plan, cell: str, networks: NetworkCheck, free: float) -> None:
    """Refuse to measure a step that would fail, or could fill the memory: the system would end this process."""
    spec = plan.resolve(cell, {})
    problem = next(networks.problems(spec), None)
    if problem is not None:
        raise UserError(f"cell {cell}: {problem}")
    need = networks.largest_step(spec)
    if need > MEASURED_SHARE * free:
        raise UserError(
            f"a training step that takes at least {need:.3g} GB is not measured here ({free:.3g} GB of memory are "
            f"free). Fix: study rehearse {plan.spec.name}, whose workers may run out of memory"
        )
