"""The study file's parts: what a study declares, and by which names its choices go."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from study.config.ranges import RANGES, Range
from study.config.search import PRUNERS, NoPruner, Pruner, SearchSpec
from trainables.common.registry import Registry
from trainables.data.layouts import LAYOUTS
from trainables.data.records import Layout
from trainables.data.settings import DataSettings
from trainables.downstream import LOSSES
from trainables.downstream.finetune import DownstreamSettings
from trainables.downstream.losses import Loss
from trainables.engine.optim import OPTIMIZERS, SCHEDULES
from trainables.engine.optim.optimizers import Optimizer
from trainables.engine.optim.schedules import Schedule
from trainables.external.nnunet import EXTERNAL
from trainables.networks import BACKBONES, NETWORKS
from trainables.networks.backbones import BackboneSettings
from trainables.networks.network import NetworkSettings
from trainables.pretext import METHODS
from trainables.pretext.method import Method
from trainables.pretext.pretrain import PretextSettings
from trainables.registration import SIMILARITIES
from trainables.registration.propagate import Propagation
from trainables.registration.similarity import Similarity
from trainables.registration.training import RegistrationSettings

Components = Mapping[type, Sequence[Registry[Any]]]
"""Which registries name the classes of each component base."""


class Start:
    """A start of the backbone that needs no pretraining; written in the place of a pretext method."""


@dataclass(frozen=True)
class RandomStart(Start):
    """Random weights."""


@dataclass(frozen=True)
class ImageNetStart(Start):
    """ImageNet's weights.

    Attributes:
        weights: file of a state dict saved by torchvision, or None.
        download: fetch them when no file is given; nothing is ever fetched otherwise.
    """

    weights: str | None = None
    download: bool = False


STARTS: Registry[type[Start]] = Registry("start", {"random": RandomStart, "imagenet": ImageNetStart})


@dataclass(frozen=True)
class StageResources:
    """What a stage's jobs ask of the cluster.

    Attributes:
        workers: processes that train together, from 1 up.
        cpus: of each worker, more than 0.
        gpus: of each worker; a share of one (0.5) or a whole number.
    """

    workers: int = 1
    cpus: float = 1.0
    gpus: float = 0.0

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise ValueError(f"workers is {self.workers}, expected a whole number from 1 up")
        if self.cpus <= 0:
            raise ValueError(f"cpus is {self.cpus:g}, expected more than 0")
        if self.gpus < 0 or (self.gpus > 1 and self.gpus != int(self.gpus)):
            raise ValueError(f"gpus is {self.gpus:g}, expected a share below 1 or a whole number")


@dataclass(frozen=True)
class Capacity:
    """Of a whole cluster: CPUs and GPUs."""

    cpus: float = 0.0
    gpus: float = 0.0


@dataclass(frozen=True)
class Resources:
    """Of each stage.

    Attributes:
        pretext: of a pretraining.
        registration: of a registration; the propagation takes one such worker.
        downstream: of a trial or replicate.
        max: what an autoscaling cluster may grow to, so that enough jobs are given out to make it grow; None for what
            it has.
    """

    pretext: StageResources = field(default_factory=StageResources)
    registration: StageResources = field(default_factory=StageResources)
    downstream: StageResources = field(default_factory=StageResources)
    max: Capacity | None = None


@dataclass(frozen=True)
class Factor:
    """Something the study compares.

    Attributes:
        name: for tables.
        levels: by name, the settings each stands for, by dotted path.
    """

    name: str
    levels: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Design:
    """Which combinations of the factors' levels are cells; they share seeds and labelled subsets, so all are paired.

    Attributes:
        kind: "full" takes every combination. An ablation takes one factor at a time: "one_out" starts from the first
            level of each and changes one factor, "one_in" likewise from the last level of each.
        factors: names of the factors that are taken one at a time, the others being combined in full; none for all.
    """

    kind: Literal["full", "one_out", "one_in"] = "full"
    factors: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.kind == "full" and self.factors:
            raise ValueError(f"factors is {list(self.factors)}, expected none where every combination is taken")


@dataclass(frozen=True)
class Budget:
    """What a study may spend. It may change under the study's name; with a larger one the study goes on.

    Attributes:
        trials: of all cells together, each having an equal share; from 1 up.
        hours: of wall-clock time, over all launches; above 0.
        gpu_hours: of the jobs' workers, over all launches; above 0.
    """

    trials: int | None = None
    hours: float | None = None
    gpu_hours: float | None = None

    def __post_init__(self) -> None:
        for part in fields(self):
            value = getattr(self, part.name)
            if value is not None and not value > 0:
                raise ValueError(f"{part.name} is {value}, expected more than 0")


@dataclass(frozen=True)
class StudySpec:
    """A study: factors x search x replicates, over a pipeline of stages.

    Attributes:
        name: of its folder and its records: letters, digits, and `._-` after the first.
        data: that the downstream stage is trained and judged on.
        network: that is trained.
        pretext: what the backbone learns first; its method may also be a start, `random` or `imagenet`.
        title: what the study asks, for people.
        seed: names everything random.
        pretext_data: that pretext is trained on; None for `data`.
        downstream: how the network is trained.
        registration: how the network is trained that carries labels, where downstream learns from pseudo-labels.
        propagation: how it carries them.
        factors: what the cells are the combinations of.
        design: which combinations.
        search: of each cell's configuration.
        replicates: of each cell's chosen configuration, from 1 up.
        budget: that ends the study when it is spent.
        resources: of each stage.
        storage: URI of a store (`s3://bucket/prefix`, a path) from which jobs take their input, and where they leave
            their output; None where every node sees the workspace.
        tracking: URI of the MLflow server or store; None for the workspace's own.
    """

    name: str
    data: DataSettings
    network: NetworkSettings
    pretext: PretextSettings
    title: str = ""
    seed: int = 0
    pretext_data: DataSettings | None = None
    downstream: DownstreamSettings = field(default_factory=DownstreamSettings)
    registration: RegistrationSettings = field(default_factory=RegistrationSettings)
    propagation: Propagation = field(default_factory=Propagation)
    factors: tuple[Factor, ...] = ()
    design: Design = field(default_factory=Design)
    search: SearchSpec = field(default_factory=SearchSpec)
    replicates: int = 3
    budget: Budget = field(default_factory=Budget)
    resources: Resources = field(default_factory=Resources)
    storage: str | None = None
    tracking: str | None = None

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", self.name):
            raise ValueError(f"name is '{self.name}', expected letters, digits, and '._-' after the first")
        if self.replicates < 1:
            raise ValueError(f"replicates is {self.replicates}, expected a whole number from 1 up")
        self._check_pretext_pruner()

    def _check_pretext_pruner(self) -> None:
        if isinstance(self.search.pretext_pruner, NoPruner) or isinstance(self.pretext.method, Start):
            return
        if self.pretext.probe is None:
            raise ValueError("search.pretext_pruner compares probes, and pretext.probe is null, expected a probe")
        if not any(path.startswith(("pretext.", "network.backbone")) for path in self.search.space):
            raise ValueError("search.pretext_pruner: no setting of the pretraining is searched, expected none")


COMPONENTS: Components = {
    Layout: (LAYOUTS,),
    Method: (METHODS, STARTS),
    NetworkSettings: (NETWORKS, EXTERNAL),
    BackboneSettings: (BACKBONES,),
    Optimizer: (OPTIMIZERS,),
    Schedule: (SCHEDULES,),
    Loss: (LOSSES,),
    Similarity: (SIMILARITIES,),
    Start: (STARTS,),
    Range: (RANGES,),
    Pruner: (PRUNERS,),
}
