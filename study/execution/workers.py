"""Worker groups of Ray Train as a runtime, for stages that request more than one worker, on one node or many."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import ray.train
import ray.train.torch
import torch.distributed as dist
from ray.train import CheckpointConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchConfig, TorchTrainer
from ray.tune.integration.ray_train import TuneReportCallback
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from study.execution.device import hide_gpus
from study.execution.execute import execute, read_outcome
from study.execution.metrics_log import MetricsLog
from study.execution.shared_folder import require_here
from study.planning.jobs import Job
from study.plugins.loading import load_sources
from study.plugins.source import PluginSource
from study.storage.node_cache import node_cache
from study.storage.remote import JobPaths, LocalIO
from study.storage.workspace import JobFolder
from trainables.common.files import write_json
from trainables.engine.checkpoint import PeriodicCheckpoint
from trainables.engine.runtime import set_gpu_flags, to_device, use_threads
from trainables.networks.batchnorm import synchronise


class TrainWorker:
    """Runtime of one worker of a Ray Train group.

    Args:
        io: input and output of the job, shared by all workers.
    """

    def __init__(self, io: LocalIO) -> None:
        set_gpu_flags()
        context = ray.train.get_context()
        self.rank, self.world_size = context.get_world_rank(), context.get_world_size()
        self.device = ray.train.torch.get_device()
        self._io = io
        self._checkpoint = PeriodicCheckpoint(io.folder.root, io.save_every, io.on_checkpoint)
        self._log = MetricsLog(io.folder) if self.rank == 0 else None

    def wrap(self, module: nn.Module) -> nn.Module:
        """Return `module` on this worker's device with gradients and batch norm synchronized between workers."""
        synchronise(to_device(module, self.device))
        devices = [self.device] if self.device.type == "cuda" else None
        return DistributedDataParallel(module, device_ids=devices)

    def mean(self, values: Tensor) -> Tensor:
        """Return the mean of `values` over the workers."""
        dist.all_reduce(values)
        mean: Tensor = values / self.world_size
        return mean

    def broadcast(self, values: Tensor) -> Tensor:
        """Return the values of rank 0."""
        dist.broadcast(values, 0)
        return values

    def load(self) -> dict[str, Any] | None:
        """Return the last complete checkpoint, which all workers read; None for a new run."""
        return self._checkpoint.load()

    def save(self, state: Callable[[], dict[str, Any]], *, force: bool = False) -> None:
        """Save `state()` on rank 0 if forced or if the last checkpoint is old enough."""
        if self.rank == 0:
            self._checkpoint.save(state, force=force)

    def flush(self) -> None:
        """Wait until the last checkpoint is on disk."""
        self._checkpoint.flush()

    def report(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Log the metrics on rank 0, and report them to the sweep through Ray Train."""
        if self._log is not None:
            self._log(epoch, metrics)
            self._io.on_report()
        ray.train.report({"epoch": epoch, **metrics})


def execute_with_workers(job: Job, paths: JobPaths, scratch: Path, plugins: Sequence[PluginSource] = ()) -> None:
    """Run a job in a Ray Train worker group from inside a Tune trial; a lost worker or node raises an error.

    Args:
        job: job with more than one worker.
        paths: folders and store of the study.
        scratch: absolute folder for Ray Train's own state where nodes share the workspace.
        plugins: plug-ins that the workers import.
    """
    request = job.resources
    TorchTrainer(
        _run_worker,
        train_loop_config={
            "job": job.plain(),
            "paths": asdict(paths),
            "plugins": [source.plain() for source in plugins],
        },
        torch_config=TorchConfig(backend="nccl" if request.gpus else "gloo"),
        scaling_config=ScalingConfig(
            num_workers=request.workers,
            use_gpu=request.gpus > 0,
            resources_per_worker={"CPU": request.cpus} | ({"GPU": request.gpus} if request.gpus else {}),
        ),
        run_config=RunConfig(
            name=job.id,
            **paths.scratch(scratch),
            callbacks=[TuneReportCallback()],  # type: ignore[list-item]
            checkpoint_config=CheckpointConfig(num_to_keep=1),
        ),
    ).fit()


def _run_worker(config: dict[str, Any]) -> None:
    job, paths = Job.from_plain(config["job"]), JobPaths(**config["paths"])
    require_here(paths.shared_folder)
    load_sources(map(PluginSource.from_plain, config["plugins"]), node_cache)
    use_threads(int(job.resources.cpus))
    if not job.resources.gpus:
        hide_gpus()
    io = paths.job_io(job, node_cache())
    worker = TrainWorker(io)
    share_outcome(io.folder)
    try:
        execute(io.job, io.folder, io.artifacts, worker)
    except Exception:
        io.on_failure()
        raise
    if worker.rank == 0:
        io.on_end()


def share_outcome(folder: JobFolder) -> None:
    """Write an outcome that any worker has in its folder into the folders of all.

    Nodes without a shared workspace may have different files of a job that runs again. A worker with an outcome returns
    at once, and the others would wait for it in their first collective call, for as long as that may take.
    """
    own = read_outcome(folder)
    found: list[dict[str, Any] | None] = [None] * dist.get_world_size()
    dist.all_gather_object(found, None if own is None else asdict(own))
    outcome = next((each for each in found if each is not None), None)
    if own is None and outcome is not None:
        write_json(folder.result, outcome)
