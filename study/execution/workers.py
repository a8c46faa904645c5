"""Ray Train's worker group as a runtime: for stages that ask for more than one worker, on one node or many."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
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

from study.execution.execute import checkpoints, execute
from study.execution.metrics_log import MetricsLog
from study.planning.jobs import Job
from study.storage.remote import JobPaths, LocalIO, node_cache
from trainables.engine.runtime import to_device, use_threads
from trainables.networks.batchnorm import synchronise


class TrainWorker:
    """One worker of a Ray Train group, as the training loop sees it."""

    def __init__(self, site: LocalIO) -> None:
        context = ray.train.get_context()
        self.rank, self.world_size = context.get_world_rank(), context.get_world_size()
        self.device = ray.train.torch.get_device()
        self._site, self._checkpoints = site, checkpoints(site.folder)
        self._log = MetricsLog(site.folder) if self.rank == 0 else None
        self._saved_at = time.monotonic()

    def wrap(self, module: nn.Module) -> nn.Module:
        """`module` on this worker's device, with batch norm and gradients shared between the workers."""
        synchronise(to_device(module, self.device))
        devices = [self.device] if self.device.type == "cuda" else None
        return DistributedDataParallel(module, device_ids=devices)

    def mean(self, values: Tensor) -> Tensor:
        """The mean over the workers."""
        dist.all_reduce(values)
        mean: Tensor = values / self.world_size
        return mean

    def load(self) -> dict[str, Any] | None:
        """The last whole checkpoint, which all workers see."""
        return self._checkpoints.load()

    def save(self, state: Callable[[], dict[str, Any]], *, force: bool = False) -> None:
        """Rank 0 writes a checkpoint if `force` or if the last is older than the site says."""
        if self.rank != 0 or (not force and time.monotonic() - self._saved_at < self._site.save_every):
            return
        self._checkpoints.save(state(), self._site.saved)
        self._saved_at = time.monotonic()

    def flush(self) -> None:
        """Wait for the writer."""
        self._checkpoints.flush()

    def report(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Rank 0's metrics go to the job's folder and, through Ray Train, to the sweep."""
        if self._log is not None:
            self._log(epoch, metrics)
            self._site.reported()
        ray.train.report({"epoch": epoch, **metrics})


def execute_with_workers(job: Job, places: JobPaths, scratch: Path) -> None:
    """Run `job` in a Ray Train worker group, from inside a Tune trial; a dead worker or node ends it with an error.

    Args:
        job: to run, with more than one worker.
        places: of the study.
        scratch: for Ray Train's own state where nodes share the workspace; absolute.
    """
    resources = {"CPU": job.resources.cpus} | ({"GPU": job.resources.gpus} if job.resources.gpus else {})
    TorchTrainer(
        _worker,
        train_loop_config={"job": job.plain(), "places": asdict(places)},
        torch_config=TorchConfig(backend="nccl" if job.resources.gpus else "gloo"),
        scaling_config=ScalingConfig(
            num_workers=job.resources.workers, use_gpu=job.resources.gpus > 0, resources_per_worker=resources
        ),
        run_config=RunConfig(
            name=job.id,
            **places.scratch(scratch),
            callbacks=[TuneReportCallback()],  # type: ignore[list-item]
            checkpoint_config=CheckpointConfig(num_to_keep=1),
        ),
    ).fit()


def _worker(config: dict[str, Any]) -> None:
    job, places = Job.from_plain(config["job"]), JobPaths(**config["places"])
    use_threads(int(job.resources.cpus))
    site = places.site(job, node_cache())
    worker = TrainWorker(site)
    execute(site.job, site.folder, site.artifacts, worker)
    if worker.rank == 0:
        site.ended()
