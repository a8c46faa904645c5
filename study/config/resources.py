"""Cluster resources of each stage, as a study file gives them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class StageResources:
    """Cluster resources of each job of a stage.

    Attributes:
        workers: number of data-parallel worker processes, at least 1.
        cpus: CPUs for each worker, above 0.
        gpus: GPUs for each worker: 0, 1, or for a single worker a fraction, which others share (0.5). With `auto`, the
            launch chooses: none on a cluster without GPUs, else 1, or the fraction that a rehearsal has measured.
    """

    workers: int = 1
    cpus: float = 1.0
    gpus: float | Literal["auto"] = "auto"

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise ValueError(f"workers is {self.workers}, expected a whole number from 1 up")
        if self.cpus <= 0:
            raise ValueError(f"cpus is {self.cpus:g}, expected more than 0")
        if self.gpus == "auto":
            return
        if self.gpus < 0:
            raise ValueError(f"gpus is {self.gpus:g}, expected auto, 0, 1 or a fraction below 1")
        if self.gpus > 1:
            fix = f"set workers to {math.ceil(self.workers * self.gpus)} and gpus to 1"
            raise ValueError(f"gpus is {self.gpus:g}, expected at most 1, as a worker uses one GPU. Fix: {fix}")
        if self.workers > 1 and 0 < self.gpus < 1:
            raise ValueError(
                f"gpus is {self.gpus:g} for {self.workers} workers, expected 0 or 1, as workers of one job cannot "
                "share a GPU. Fix: set gpus to 1, or workers to 1"
            )

    @property
    def gpus_per_worker(self) -> float:
        """GPUs for each worker as a number: 0 as long as the launch has not chosen."""
        return 0.0 if self.gpus == "auto" else self.gpus

    @property
    def gpus_per_job(self) -> float:
        """GPUs for all workers."""
        return self.workers * self.gpus_per_worker


@dataclass(frozen=True)
class Capacity:
    """Size of a cluster.

    Attributes:
        cpus: total number of CPUs, at least 0.
        gpus: total number of GPUs, at least 0.
    """

    cpus: float = 0.0
    gpus: float = 0.0


@dataclass(frozen=True)
class Resources:
    """Cluster resources of each stage.

    Attributes:
        pretext: resources of a pretraining job.
        registration: resources of a registration job; a propagation job uses one such worker.
        downstream: resources of a trial or replicate.
        max: largest size of an autoscaling cluster; jobs are submitted for this size, so that the cluster grows. None
            for the current size.
        stages: resources of each plug-in's stage by name; one CPU for a stage without an entry.
    """

    pretext: StageResources = field(default_factory=StageResources)
    registration: StageResources = field(default_factory=StageResources)
    downstream: StageResources = field(default_factory=StageResources)
    max: Capacity | None = None
    stages: Mapping[str, StageResources] = field(default_factory=dict)

    def by_name(self) -> dict[str, StageResources]:
        """Return the resources of every stage by their path below `resources`, such as "pretext" or "stages.NAME"."""
        own = {"pretext": self.pretext, "registration": self.registration, "downstream": self.downstream}
        return own | {f"stages.{name}": asked for name, asked in self.stages.items()}
