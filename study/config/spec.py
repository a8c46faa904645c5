"""Settings of a study file, and the registries that name its components."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from study.config.ranges import RANGES, Range
from study.config.resources import Resources
from study.config.search import PRUNERS, NoPruner, Pruner, SearchSpec
from study.config.stage_settings import STAGE_SETTINGS, StageSettings
from study.config.validation_use import check_validation
from trainables.augment.operation import OPERATIONS, Operation
from trainables.augment.policies import POLICIES
from trainables.augment.policy import Policy
from trainables.common.added import ADDED
from trainables.common.registry import Registry
from trainables.data.layouts import LAYOUTS
from trainables.data.records import Layout
from trainables.data.settings import DataSettings
from trainables.downstream import LOSSES
from trainables.downstream.losses import Loss
from trainables.downstream.settings import DownstreamSettings
from trainables.engine.optim import OPTIMIZERS, SCHEDULES
from trainables.engine.optim.optimizers import Optimizer
from trainables.engine.optim.schedules import Schedule
from trainables.external.nnunet import EXTERNAL
from trainables.metrics.case_metric import METRICS, CaseMetric
from trainables.networks import BACKBONES, NETWORKS
from trainables.networks.backbones import BackboneSettings
from trainables.networks.network import NetworkSettings
from trainables.networks.weight_files.names import Format
from trainables.networks.weight_files.read import WeightsFile
from trainables.pretext import METHODS
from trainables.pretext.method import Method
from trainables.pretext.pretrain import PretextSettings
from trainables.registration import SIMILARITIES
from trainables.registration.propagate import Propagation
from trainables.registration.similarity import Similarity
from trainables.registration.training import RegistrationSettings

Components = Mapping[type, Sequence[Registry[Any]]]
"""Registries that name the classes of each component base."""


class Start:
    """Base class of initial weights without pretraining, given in place of a pretext method."""


@dataclass(frozen=True)
class RandomStart(Start):
    """Random initialization of the backbone."""


@dataclass(frozen=True)
class ImageNetStart(Start):
    """Backbone weights pretrained on ImageNet.

    Attributes:
        weights: path of a state dict saved by torchvision; None requires `download`.
        download: download the weights from torchvision if `weights` is None.
    """

    weights: str | None = None
    download: bool = False


@dataclass(frozen=True)
class FileStart(Start):
    """Backbone weights of a local file, pretrained elsewhere.

    Attributes:
        path: path of the file, a state dict or checkpoint of torch, or .safetensors.
        format: naming scheme of its tensors; "auto", the default, recognizes it.
    """

    path: str
    format: Format = "auto"

    @property
    def weights(self) -> WeightsFile:
        """The file as the networks read it."""
        return WeightsFile(self.path, self.format)


STARTS: Registry[type[Start]] = Registry("start", {"random": RandomStart, "imagenet": ImageNetStart, "file": FileStart})


@dataclass(frozen=True)
class Factor:
    """A variable that the study compares.

    Attributes:
        name: text for tables and cell keys.
        levels: settings of each level (by dotted path), by level name.
    """

    name: str
    levels: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Design:
    """Design of the comparison: the combinations of factor levels that are cells.

    All cells share seeds and labelled subsets, so that they are compared in pairs.

    Attributes:
        kind: "full" has every combination. The ablations change one factor at a time: "one_out" from the first level
            of each factor, "one_in" from the last level of each.
        factors: names of the factors that an ablation changes one at a time; the others are combined in full. Empty
            for all factors.
    """

    kind: Literal["full", "one_out", "one_in"] = "full"
    factors: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.kind == "full" and self.factors:
            raise ValueError(f"factors is {list(self.factors)}, expected none for the full design")


@dataclass(frozen=True)
class Budget:
    """Upper limits of a study. A later launch may change them; a study continues under larger limits.

    Attributes:
        trials: number of trials of all cells together, divided equally, at least 1; None for no limit.
        hours: wall-clock hours of all launches together, above 0; None for no limit.
        gpu_hours: GPU hours of all jobs and launches together, above 0; None for no limit.
    """

    trials: int | None = None
    hours: float | None = None
    gpu_hours: float | None = None

    def __post_init__(self) -> None:
        for part in fields(self):
            value = getattr(self, part.name)
            if value is not None and not value > 0:
                raise ValueError(f"{part.name} is {value}, expected more than 0")


MAX_NAME = 200
"""Largest number of characters in a name; MLflow refuses those above 250, file systems those above 255 bytes."""

MAX_RUNS = 10_000
"""Largest number of replicates of a cell."""


@dataclass(frozen=True)
class Replicates:
    """Trainings of each cell's chosen configuration, and the pretrainings that they start from.

    `replicates: 6` is short for `{runs: 6}`.

    Attributes:
        runs: number of trainings of each cell's chosen configuration, at least 1.
        pretrainings: number of runs of each shared stage with different seeds, from 1 to `runs`; replicate r starts
            from pretraining r mod `pretrainings`. Trials start from the first one.
    """

    runs: int = 3
    pretrainings: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.runs <= MAX_RUNS:
            raise ValueError(f"runs is {self.runs:,}, expected a whole number from 1 to {MAX_RUNS:,}")
        if not 1 <= self.pretrainings <= self.runs:
            raise ValueError(f"pretrainings is {self.pretrainings}, expected from 1 to the {self.runs} runs")

    @staticmethod
    def expand(value: Any) -> Any:
        """Return the full form of a number of runs."""
        return value if isinstance(value, Mapping | Replicates) else {"runs": value}


@dataclass(frozen=True)
class StudySpec:
    """A study: factors x search x replicates, over a pipeline of stages.

    Attributes:
        name: name of the study's folder and of its MLflow experiment: letters, digits, and `._-` after the first.
        data: dataset of the downstream stage.
        network: segmentation network.
        pretext: pretraining of the backbone; `random`, `imagenet` and `file` in place of a method skip it.
        title: question that the study answers, one line for people.
        notes: sentences for readers of the results, such as departures from a paper; the report begins with them.
        seed: whole number from which every random seed is derived.
        pretext_data: dataset of the pretext stage; None for `data`.
        registration_data: dataset on which the registration network is trained; None for `data`.
        downstream: training of the segmentation network.
        registration: training of the registration network; used if `downstream.targets` is "propagated".
        propagation: propagation of labels by the registration network.
        stages: settings of each plug-in's stage by name; null switches the stage off.
        factors: variables whose combinations are the cells; none for a single cell.
        design: combinations of the factors' levels that are cells.
        exclude: cells to leave out, each as level names by factor; a list of levels stands for each of them.
        only: cells to keep, in the same form; empty for all.
        search: hyperparameter search of each cell.
        replicates: trainings of each cell's chosen configuration.
        budget: limits at which the study ends.
        resources: cluster resources of each stage.
        storage: URI (`s3://bucket/prefix`, a path) of the store that nodes share; None if all can access the workspace.
        tracking: URI of the MLflow server or store; None for a store in the workspace.
        plugins: Python files, or folders with `__init__.py`, that register components; relative to the study file.
    """

    name: str
    data: DataSettings
    network: NetworkSettings
    pretext: PretextSettings
    title: str = ""
    notes: tuple[str, ...] = field(default=(), metadata=ADDED)
    seed: int = 0
    pretext_data: DataSettings | None = None
    registration_data: DataSettings | None = field(default=None, metadata=ADDED)
    downstream: DownstreamSettings = field(default_factory=DownstreamSettings)
    registration: RegistrationSettings = field(default_factory=RegistrationSettings)
    propagation: Propagation = field(default_factory=Propagation)
    stages: Mapping[str, StageSettings | None] = field(default_factory=dict)
    factors: tuple[Factor, ...] = ()
    design: Design = field(default_factory=Design)
    exclude: tuple[Mapping[str, Any], ...] = field(default=(), metadata=ADDED)
    only: tuple[Mapping[str, Any], ...] = field(default=(), metadata=ADDED)
    search: SearchSpec = field(default_factory=SearchSpec)
    replicates: Replicates = field(default_factory=Replicates)
    budget: Budget = field(default_factory=Budget)
    resources: Resources = field(default_factory=Resources)
    storage: str | None = None
    tracking: str | None = None
    plugins: tuple[str, ...] = field(default=(), metadata=ADDED)

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", self.name):
            raise ValueError(f"name is '{self.name}', expected letters, digits, and '._-' after the first")
        if len(self.name) > MAX_NAME:
            raise ValueError(f"name has {len(self.name)} characters, expected at most {MAX_NAME}")
        self._check_pretext_pruner()
        check_validation(self.downstream, self.search, self.network, probed=self.probed)

    @property
    def probed(self) -> bool:
        """True if a probe of the pretraining reads labels of the dataset that is fine-tuned on."""
        return self.pretext_data is None and any(step.probe is not None for step in self.pretext.chain)

    def _check_pretext_pruner(self) -> None:
        if isinstance(self.search.pretext_pruner, NoPruner) or isinstance(self.pretext.method, Start):
            return
        if self.pretext.probe is None:
            raise ValueError("search.pretext_pruner requires a probe (found null). Fix: set pretext.probe")
        if not any(path.startswith(("pretext.", "network.backbone")) for path in self.search.space):
            raise ValueError("search.pretext_pruner requires a searched setting of pretraining, expected none")


NAMED_SETTINGS: Mapping[type, Mapping[str, Any]] = {Policy: POLICIES}
"""Settings that a study file may name as a whole, by their class."""

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
    StageSettings: (STAGE_SETTINGS,),
    Operation: (OPERATIONS,),
    CaseMetric: (METRICS,),
}
