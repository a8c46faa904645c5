"""Errors of a job's device: lack of memory, and failures after which its process can use the GPU no more."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from study.execution.errors import GpuFailed

CPU_MEMORY = "can't allocate memory"
"""Part of torch's message about memory that cannot be had on a CPU."""

GPU_MEMORY = ("out of memory", "ALLOC_FAILED")
"""Parts of torch's, cuBLAS's and cuDNN's messages about memory that cannot be had on a GPU."""

LIBRARIES = ("CUDA error:", "HIP error:", "cuDNN error:", "CUBLAS_STATUS_", "CUDNN_STATUS_", "cuFFT error:")
"""Parts of the messages of errors that libraries report as plain RuntimeErrors."""


def out_of_memory(error: BaseException) -> bool:
    """Return True for memory that could not be had, on a CPU or GPU."""
    return isinstance(error, MemoryError) or CPU_MEMORY in first_line(error) or gpu_out_of_memory(error)


def gpu_out_of_memory(error: BaseException) -> bool:
    """Return True for memory that could not be had on a GPU."""
    return isinstance(error, RuntimeError) and any(text in first_line(error) for text in GPU_MEMORY)


def gpu_failure(error: BaseException) -> str:
    """Return the first line of an error of the GPU other than lack of memory, "" for any other error.

    CUDA keeps such an error: whatever the process does with the GPU afterwards fails alike. The error may hide behind
    others, which were raised while it was handled.
    """
    return next((first_line(each) for each in _chain(error) if _is_gpu_failure(each)), "")


def gpu_failure_in(cause: Exception | None) -> str:
    """Return the message of a `GpuFailed` in the error of a process, which Ray passes on as text; "" without one."""
    lines = [line for line in str(cause).splitlines() if GpuFailed.__name__ in line]
    return lines[-1].partition(f"{GpuFailed.__name__}: ")[2] if lines else ""


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or its type for an empty message."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _is_gpu_failure(error: BaseException) -> bool:
    if gpu_out_of_memory(error) or not isinstance(error, RuntimeError):
        return False
    return isinstance(error, torch.AcceleratorError) or any(text in first_line(error) for text in LIBRARIES)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and those that it was raised from or while they were handled."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
