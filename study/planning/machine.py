"""Sizes of this machine."""

from __future__ import annotations

from dataclasses import dataclass

import psutil
import torch

from trainables.engine.runtime import best_device

GIGABYTE = 10**9
"""Bytes in a gigabyte."""

USABLE = 0.95
"""Share of a machine's memory above which Ray kills processes."""

ALLOCATABLE = 0.9
"""Share of a part of a GPU that torch may allocate; CUDA's own memory, for each process, needs the rest."""


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


def measuring_device(gpus: float) -> torch.device:
    """Return the device that stands for a worker's: this machine's first GPU, or the CPU without one or a request.

    Args:
        gpus: GPUs that a worker asks for.
    """
    return best_device() if gpus else torch.device("cpu")


def free_on(device: torch.device, gigabytes: float) -> float:
    """Return the free memory in GB of a device; `gigabytes` is that of the machine, which a CPU uses."""
    return torch.cuda.mem_get_info(device)[0] / GIGABYTE if device.type == "cuda" else gigabytes


def this_machine() -> Machine:
    """Return the sizes of this machine."""
    count = torch.cuda.device_count()
    sizes = [torch.cuda.get_device_properties(number).total_memory for number in range(count)]
    memory = USABLE * psutil.virtual_memory().total / GIGABYTE
    return Machine(float(psutil.cpu_count() or 1), float(count), memory, min(sizes, default=0) / GIGABYTE)
