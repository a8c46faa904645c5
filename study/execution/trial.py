"""Function that runs one job inside a Tune trial's process, and its configuration."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune import PlacementGroupFactory
from ray.tune.execution.placement_groups import PlacementGroupFactory as Placement

from study.execution.device import claim_device
from study.execution.execute import execute
from study.execution.metrics_log import MetricsLog
from study.execution.shared_folder import require_here
from study.planning.jobs import Job
from study.plugins.loading import load_sources
from study.plugins.source import PluginSource
from study.scheduling.objectives import OBJECTIVE, PROBE
from study.storage.node_cache import node_cache
from study.storage.remote import JobPaths
from trainables.engine.runtime import LocalRuntime, use_threads

TRIAL_MEMORY = 2**26
"""Bytes requested for a trial that only waits for its worker group, so that it holds no CPU or GPU."""

REPORTED_METRICS = (OBJECTIVE, PROBE, "val/loss", "loss")
"""Metrics that a job reports to the driver; Tune keeps what it receives, so all others stay in the job's folder."""


def trial_config(job: Job, paths: JobPaths, plugins: Sequence[PluginSource] = ()) -> dict[str, str]:
    """Return a job as a Tune configuration; JSON text, because Tune copies and flattens nested configurations.

    The source of the study's plug-ins goes along, for nodes that do not have their files.
    """
    sources = json.dumps([source.plain() for source in plugins])
    return {"id": job.id, "job": json.dumps(job.plain()), "paths": json.dumps(asdict(paths)), "plugins": sources}


def parse_config(config: Mapping[str, Any]) -> tuple[Job, JobPaths]:
    """Return the job and paths of a Tune configuration made by `trial_config`."""
    return Job.from_plain(json.loads(config["job"])), JobPaths(**json.loads(config["paths"]))


def plugins_of(config: Mapping[str, Any]) -> list[PluginSource]:
    """Return the plug-ins of a Tune configuration made by `trial_config`."""
    return [PluginSource.from_plain(values) for values in json.loads(config["plugins"])]


def trial_resources(config: dict[str, Any]) -> Placement:
    """Return the placement of a trial: its job's CPUs and GPUs, or none for the head of a worker group."""
    request = parse_config(config)[0].resources
    if request.workers > 1:
        return PlacementGroupFactory([{"memory": TRIAL_MEMORY}])
    return PlacementGroupFactory([{"CPU": request.cpus} | ({"GPU": request.gpus} if request.gpus else {})])


def run_trial(config: dict[str, Any]) -> None:
    """Run a job with one worker in this process, or start the worker group of a job with several."""
    job, paths = parse_config(config)
    require_here(paths.shared_folder)
    if job.resources.workers > 1:
        from study.execution.workers import execute_with_workers  # Ray Train is slow to import and seldom needed

        execute_with_workers(job, paths, Path(paths.jobs).parent / "ray", plugins_of(config))
        return
    load_sources(plugins_of(config), node_cache)
    use_threads(int(job.resources.cpus))
    device = claim_device(job.resources.gpus)
    io = paths.job_io(job, node_cache())

    def on_epoch(epoch: int, metrics: Mapping[str, float]) -> None:
        io.on_report()
        tune.report({"epoch": epoch, **{name: metrics[name] for name in REPORTED_METRICS if name in metrics}})

    runtime = LocalRuntime(
        io.folder.root, MetricsLog(io.folder, on_epoch), device, save_every=io.save_every, on_save=io.on_checkpoint
    )
    execute(io.job, io.folder, io.artifacts, runtime)
    io.on_end()
