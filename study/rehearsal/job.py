"""Rehearsal of one job: an excerpt of the data, a stop after the first step, and the measured memory."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from study.execution.device import trim_heap
from study.planning.jobs import Job
from study.planning.machine import GIGABYTE
from study.rehearsal.excerpt import excerpt
from study.rehearsal.memory import MemoryMeter
from study.stages.stage import Stage, StageContext, StageResult
from trainables.common.errors import TrainingFailed
from trainables.engine.runtime import Runtime

MEMORY, GPU_MEMORY, GPU_SHARE = "rehearsal/gigabytes", "rehearsal/gpu_gigabytes", "rehearsal/gpu_share"
"""Metrics of a rehearsed job: peak memory of a worker on its node and on its GPU in GB, and as a share of the GPU's."""

RESUMED = "rehearsal/resumed"
"""Metric of a rehearsed job: 1 if it was stopped and resumed."""


class Stopped(Exception):
    """End of a job's run at its first checkpoint."""


class StoppingRuntime:
    """Runtime that ends a run once its first checkpoint is on disk.

    Args:
        runtime: runtime of the job, which does everything else.
    """

    def __init__(self, runtime: Runtime) -> None:
        self.rank, self.world_size, self.device = runtime.rank, runtime.world_size, runtime.device
        self._runtime = runtime

    def wrap(self, module: nn.Module) -> nn.Module:
        """Return the module as the job's runtime wraps it."""
        return self._runtime.wrap(module)

    def mean(self, values: Tensor) -> Tensor:
        """Return the mean over the workers."""
        return self._runtime.mean(values)

    def broadcast(self, values: Tensor) -> Tensor:
        """Return the values of rank 0."""
        return self._runtime.broadcast(values)

    def load(self) -> dict[str, Any] | None:
        """Return the last checkpoint."""
        return self._runtime.load()

    def save(self, state: Callable[[], dict[str, Any]], *, force: bool = False) -> None:
        """Save the state and end the run.

        Raises:
            Stopped: on every call.
        """
        self._runtime.save(state, force=True)
        self._runtime.flush()
        if self.world_size > 1:
            self._runtime.mean(torch.zeros(1, device=self.device))  # the others read the file once it is complete
        raise Stopped

    def flush(self) -> None:
        """Wait until pending checkpoints are written."""
        self._runtime.flush()

    def report(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Report an epoch's metrics."""
        self._runtime.report(epoch, metrics)


def rehearse_job(stage: Stage, job: Job, context: StageContext) -> StageResult:
    """Run a job's stage on an excerpt of its data, stop it at its first checkpoint, and resume it.

    A stage without checkpoints runs once to its end.

    Args:
        stage: stage of the job.
        job: job of a rehearsal.
        context: everything that a running job may use.

    Raises:
        TrainingFailed: the checkpoint cannot be read; or the job has failed.
    """
    brief = replace(context, store=excerpt(context.store, stage.evaluated_rows(job, context)))
    with MemoryMeter(context.runtime.device) as memory:
        result = _until_checkpoint(stage, job, brief)
        resumed = result is None
        if result is None:
            gc.collect()  # the networks of the first run
            trim_heap()
            if context.runtime.load() is None:
                raise TrainingFailed("the run cannot be resumed: its checkpoint is missing or damaged")
            result = stage.run(job, brief)
    measured = {
        MEMORY: memory.peak / GIGABYTE,
        GPU_MEMORY: memory.gpu_peak / GIGABYTE,
        GPU_SHARE: memory.gpu_share,
        RESUMED: float(resumed),
    }
    return replace(result, metrics={**result.metrics, **measured})


def _until_checkpoint(stage: Stage, job: Job, context: StageContext) -> StageResult | None:
    """Run a stage to its first checkpoint; return its result if it ended without one, else None."""
    try:
        return stage.run(job, replace(context, runtime=StoppingRuntime(context.runtime)))
    except Stopped:
        return None
