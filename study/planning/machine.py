"""Sizes of this machine."""

from __future__ import annotations

from dataclasses import dataclass

import psutil
import torch

GIGABYTE = 10**9
"""Bytes in a gigabyte."""

USABLE = 0.95
"""Share of a machine's memory above which Ray kills processes."""


@dataclass(frozen=True)
class Machine:
    """Sizes of a machine.

    Attributes:
        cpus: number of CPU cores.
        gpus: number of GPUs.
        gigabytes: memory in GB that jobs may fill.
        gpu_gigabytes: memory of its smallest GPU in GB; 0 without one.
    """

    cpus: float
    gpus: float
    gigabytes: float
    gpu_gigabytes: float = 0.0


def free_gigabytes() -> float:
    """Return the memory in GB that is free on this machine."""
    return float(psutil.virtual_memory().available) / GIGABYTE


def this_machine() -> Machine:
    """Return the sizes of this machine."""
    count = torch.cuda.device_count()
    sizes = [torch.cuda.get_device_properties(number).total_memory for number in range(count)]
    memory = USABLE * psutil.virtual_memory().total / GIGABYTE
    return Machine(float(psutil.cpu_count() or 1), float(count), memory, min(sizes, default=0) / GIGABYTE)
