"""Peak of the memory that a job takes, on its node and on its GPU."""

from __future__ import annotations

import gc
import threading
from types import TracebackType

import psutil
import torch

INTERVAL = 0.05
"""Seconds between two measurements."""


class MemoryMeter:
    """Context manager that measures the peak memory of this process and of its children.

    Pages of files, such as mapped frames and libraries, are not counted: the system can drop them.

    Args:
        device: device of the job; the peak of a GPU is what torch has reserved on it.

    Attributes:
        peak: largest number of bytes seen in the node's memory.
        gpu_peak: largest number of bytes reserved on the GPU; 0 without one.
        gpu_share: `gpu_peak` as a share of the GPU's memory.
    """

    def __init__(self, device: torch.device) -> None:
        self.peak, self.gpu_peak, self.gpu_share = 0, 0, 0.0
        self._device, self._end = device, threading.Event()
        self._thread = threading.Thread(target=self._watch, name="memory", daemon=True)

    def __enter__(self) -> MemoryMeter:
        """Reset the counters and start the measurement."""
        gc.collect()
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(self._device)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the measurement and read the GPU's counter."""
        self._end.set()
        self._thread.join()
        if self._device.type == "cuda":
            self.gpu_peak = torch.cuda.max_memory_reserved(self._device)
            self.gpu_share = self.gpu_peak / torch.cuda.get_device_properties(self._device).total_memory

    def _watch(self) -> None:
        process, again = psutil.Process(), True
        while again:
            again = not self._end.wait(INTERVAL)
            self.peak = max(self.peak, sum(map(_private_bytes, [process, *process.children(recursive=True)])))


def _private_bytes(process: psutil.Process) -> int:
    """Return the bytes of a process that belong to no file; 0 for one that has ended."""
    try:
        memory = process.memory_info()
    except psutil.Error:
        return 0
    return int(memory.rss) - int(getattr(memory, "shared", 0))
