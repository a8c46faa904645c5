"""Memory of the jobs that run at once on this machine."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from study.planning.machine import Machine
from study.rehearsal.result import Failure


@dataclass(frozen=True)
class Demand:
    """Resources of alike jobs.

    Attributes:
        stage: name of their stage.
        jobs: number of such jobs.
        workers: number of worker processes of each.
        cpus: CPUs of a worker.
        gpus: GPUs of a worker.
        gigabytes: memory of a worker on its node, in GB.
        gpu_gigabytes: memory of a worker on its GPU, in GB.
    """

    stage: str
    jobs: int
    workers: int
    cpus: float
    gpus: float
    gigabytes: float
    gpu_gigabytes: float = 0.0


def crowded(demands: Sequence[Demand], machine: Machine) -> list[Failure]:
    """Return the stages of which more jobs run at once on a machine than fit its memory.

    Jobs start as long as there are CPUs and GPUs for them, whatever their memory. Jobs of different stages that run at
    once are not considered.

    Example:
        >>> demand = Demand("downstream", jobs=8, workers=1, cpus=1, gpus=0, gigabytes=20.0)
        >>> crowded([demand], Machine(cpus=4, gpus=0, gigabytes=32.0))[0].reason
        '4 jobs run at once and take 80.0 GB (found 32.0 GB of memory). Fix: set resources.downstream.cpus to 4'
    """
    found = []
    for stage in dict.fromkeys(demand.stage for demand in demands):
        own = sorted((each for each in demands if each.stage == stage), key=lambda each: -each.gigabytes)
        count, taken = _largest_at_once(own, machine)
        if taken > machine.gigabytes:
            several = "one job takes" if count == 1 else f"{count} jobs run at once and take"
            text = f"{several} {taken:.1f} GB (found {machine.gigabytes:.1f} GB of memory)"
            found.append(Failure((), stage, f"{text}. {_fix(own[0], machine)}"))
        for demand in own:
            share = int(1 / demand.gpus) if 0 < demand.gpus < 1 else 1
            if machine.gpu_gigabytes and share * demand.gpu_gigabytes > machine.gpu_gigabytes:
                text = f"{share} workers share a GPU and take {share * demand.gpu_gigabytes:.1f} GB"
                fix = f"Fix: raise resources.{stage}.gpus"
                found.append(Failure((), stage, f"{text} (found {machine.gpu_gigabytes:.1f} GB on a GPU). {fix}"))
                break
    return found


def _largest_at_once(demands: Sequence[Demand], machine: Machine) -> tuple[int, float]:
    """Return how many of the largest jobs have CPUs and GPUs at once, and the GB that they take together."""
    cpus, gpus, count, taken = machine.cpus + 1e-6, machine.gpus + 1e-6, 0, 0.0
    for demand in demands:
        by_cpu, by_gpu = cpus / (demand.workers * demand.cpus), math.inf
        if demand.gpus:
            by_gpu = gpus / (demand.workers * demand.gpus)
        more = min(demand.jobs, int(min(by_cpu, by_gpu)))
        cpus -= more * demand.workers * demand.cpus
        gpus -= more * demand.workers * demand.gpus
        count, taken = count + more, taken + more * demand.workers * demand.gigabytes
    return count, taken


def _fix(demand: Demand, machine: Machine) -> str:
    """Return the advice to give each job so many CPUs that only those run at once that fit the memory."""
    fitting = int(machine.gigabytes / (demand.workers * demand.gigabytes))
    if fitting < 1:
        return f"Fix: set {demand.stage}.fit.micro_batch, or a smaller batch or image"
    return f"Fix: set resources.{demand.stage}.cpus to {int(machine.cpus / demand.workers / fitting)}"
