"""GPUs of the stages whose `gpus` is `auto`: none, one, or the fraction of one whose memory a job fills."""

from __future__ import annotations

from study.config.definition import Study
from study.config.resources import StageResources
from study.planning.calibration import Calibration
from study.planning.datasets import Datasets, unprepared
from study.planning.jobs import Job
from study.planning.machine import ALLOCATABLE
from study.planning.plan import Plan
from study.stages import STAGES
from study.stages.workload import Workload
from trainables.common.errors import UserError

MARGIN = 1.25
"""Memory that a job is given, as a multiple of what two steps and an evaluation have taken."""

MOST_JOBS = 4
"""Most jobs that share a GPU unless the study file asks for more."""


def with_numbers(
    study: Study, total: float, rates: Calibration | None = None, datasets: Datasets = unprepared
) -> Study:
    """Return a study with a number of GPUs in place of every `auto`.

    It is 0 if the cluster has fewer GPUs than a job has workers, else 1. A job with one worker whose memory a rehearsal
    has measured gets the smallest of 1/2, 1/3 and 1/4 into which it fits, if there is one.

    Args:
        study: study as its file describes it.
        total: GPUs of the cluster.
        rates: measurements on this machine; None for no fractions of a GPU.
        datasets: function that finds the study's frame stores.
    """
    asking = _left_open(study)
    if not asking:
        return study
    numbers = {name: float(total >= asked.workers) for name, asked in asking.items()}
    found = study.with_gpus(numbers)
    one = [name for name, number in numbers.items() if number and asking[name].workers == 1]
    if rates is None or not one:
        return found
    shares = _largest_shares(Plan(found, datasets), rates)
    return found.with_gpus({name: 1 / _jobs_on_a_gpu(shares.get(name.removeprefix("stages."), 1.0)) for name in one})


def leaves_gpus_open(study: Study) -> bool:
    """Return True if the GPUs of some stage are `auto`."""
    return bool(_left_open(study))


def chosen_line(before: Study, after: Study) -> str:
    """Return one line that says which numbers of GPUs were chosen, "" if all are 0 or none was left to choose."""
    numbers = after.spec.resources.by_name()
    chosen = {name: numbers[name].gpus_per_worker for name in _left_open(before)}
    if not any(chosen.values()):
        return ""
    return "GPUs for each worker (auto): " + ", ".join(f"{name} {number:.3g}" for name, number in chosen.items())


def share_key(workload: Workload, job: Job) -> str:
    """Return the key of a job's measured share of a GPU's memory in the calibration."""
    return f"share of a GPU: {workload.key}, batch size {job.batch_size}"


def _left_open(study: Study) -> dict[str, StageResources]:
    """Return the resources whose GPUs are `auto`, by name."""
    return {name: asked for name, asked in study.spec.resources.by_name().items() if asked.gpus == "auto"}


def _largest_shares(plan: Plan, rates: Calibration) -> dict[str, float]:
    """Return the largest measured share of a GPU by stage; 1 for a stage of which a job was not measured."""
    shares: dict[str, float] = {}
    for cell in plan.cells:
        spec = plan.resolve(cell.key, {})
        for job in (*plan.sources(cell.key, {}), plan.replicate(cell.key, 0, {})):
            try:
                workload = STAGES[job.stage].workload(spec, job)
            except UserError:  # data that are missing, so that their size is unknown
                workload = None
            known = None if workload is None else rates.known(share_key(workload, job))
            shares[job.stage] = max(shares.get(job.stage, 0.0), 1.0 if known is None else known)
    return shares


def _jobs_on_a_gpu(share: float) -> int:
    """Return how many jobs fit a GPU of which each has filled a share.

    Example:
        >>> _jobs_on_a_gpu(0.2)
        3
    """
    return max(1, min(MOST_JOBS, int(ALLOCATABLE / (MARGIN * share)))) if share > 0 else MOST_JOBS
