"""Metrics of a job by epoch, in a file of its folder."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping

import psutil
import torch

from study.storage.workspace import JobFolder

ReportCallback = Callable[[int, Mapping[str, float]], None]
"""Function called with (epoch, metrics) after each epoch; it may raise an exception to end the run."""

MEGABYTES = 1e-6
"""Megabytes per byte."""


class MetricsLog:
    """Callback that appends a job's metrics and its process's resource usage to a file.

    Args:
        folder: folder of the job; it is created if it does not exist.
        callback: function that is called with the metrics afterwards; None for none.
    """

    def __init__(self, folder: JobFolder, callback: ReportCallback | None = None) -> None:
        folder.root.mkdir(parents=True, exist_ok=True)
        self._path, self._callback = folder.metrics, callback
        self._process = psutil.Process()
        self._process.cpu_percent()

    def __call__(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Append one epoch's metrics."""
        line = json.dumps({"epoch": epoch, "time": time.time(), "metrics": {**metrics, **self._resource_usage()}})
        with self._path.open("a") as file:
            file.write(line + "\n")
        if self._callback is not None:
            self._callback(epoch, metrics)

    def _resource_usage(self) -> dict[str, float]:
        """Return the process's CPU and memory usage since the last epoch, under MLflow's names."""
        found = {
            "system/cpu_utilization_percentage": self._process.cpu_percent(),
            "system/system_memory_usage_megabytes": self._process.memory_info().rss * MEGABYTES,
        }
        if torch.cuda.is_available():
            found["system/gpu_0_memory_usage_megabytes"] = torch.cuda.max_memory_allocated() * MEGABYTES
        return found
