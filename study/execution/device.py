"""Device of a job in its process: the GPU that it asked for, or none."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import sys

import torch

from study.execution.errors import GpuFailed
from study.planning.machine import ALLOCATABLE

VISIBLE = "CUDA_VISIBLE_DEVICES"

NO_GPU = (
    "torch finds no GPU, although Ray gave the job one. Fix: install torch for CUDA and the driver on this node "
    "(`study doctor` shows what torch finds), or set gpus to 0"
)


def claim_device(gpus: float) -> torch.device:
    """Return the device of a job with one worker, and hide all GPUs from a job that asked for none.

    Ray restricts a process to the GPUs that it was given, but shows all of them to a process that was given none.

    Args:
        gpus: GPUs that the job asked for: 0, a fraction of one, or 1. A fraction limits torch's memory, too.

    Raises:
        GpuFailed: the job asked for a GPU and torch finds none.
    """
    if not gpus:
        hide_gpus()
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise GpuFailed(NO_GPU)
    device = torch.device("cuda", 0)
    torch.cuda.set_device(device)
    torch.cuda.set_per_process_memory_fraction(gpus * ALLOCATABLE if gpus < 1 else 1.0, device)
    return device


def hide_gpus() -> None:
    """Hide all GPUs from this process; it must not have used one before."""
    os.environ[VISIBLE] = ""


def release_memory(device: torch.device) -> None:
    """Free what an ended job has left in this process, and reset the peak of the GPU's memory for the next one."""
    gc.collect()
    trim_heap()
    gc.freeze()  # the next collection passes over what is left, such as modules; else it takes as long as a short trial
    if device.type == "cuda":
        with contextlib.suppress(torch.AcceleratorError):  # a GPU that has failed, which ends the process
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(device)


def trim_heap() -> None:
    """Return freed memory to the system: glibc keeps it, so that a process would grow with each job of another size."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
        if trim is not None:
            trim(0)
