"""The study file's parts: what a study declares, and by which names its choices go."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from trainables.data.layouts import LAYOUTS
from trainables.data.records import Layout
from trainables.data.settings import DataSettings
from trainables.downstream import LOSSES
from trainables.downstream.finetune import DownstreamSettings
from trainables.downstream.losses import Loss
from trainables.networks import BACKBONES, NETWORKS
from trainables.networks.backbones import BackboneSettings
from trainables.networks.network import NetworkSettings
from trainables.nnunet import EXTERNAL
from trainables.optim import OPTIMIZERS, SCHEDULES
from trainables.optim.optimizers import Optimizer
from trainables.optim.schedules import Schedule
from trainables.pretext import METHODS
from trainables.pretext.method import Method
from trainables.pretext.pretrain import PretextSettings
from trainables.registration import SIMILARITIES
from trainables.registration.propagate import Propagation
from trainables.registration.similarity import Similarity
from trainables.registration.training import RegistrationSettings
from trainables.registry import Registry

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


class Range(ABC):
    """Values to search: in a study file `{uniform: [0, 1]}`, `{loguniform: ...}`, `{int: ...}` or `{choice: ...}`."""

    @property
    @abstractmethod
    def examples(self) -> tuple[Any, ...]:
        """Values that a setting must be able to take if it is to be searched over this range."""

    @staticmethod
    def expand(value: Any) -> Any:
        """The full form of a range as a study file writes it."""
        if not isinstance(value, Mapping) or len(value) != 1:
            return value
        ((name, arguments),) = value.items()
        if name not in RANGES:
            return {"name": name}
        names = [part.name for part in fields(RANGES[name])]  # type: ignore[arg-type]  # every range is a dataclass
        if names == ["values"]:
            return {"name": name, "values": arguments}
        if not isinstance(arguments, list | tuple) or len(arguments) != len(names):
            raise ValueError(f"{name}: [{', '.join(names)}]")
        return {"name": name, **dict(zip(names, arguments, strict=True))}


@dataclass(frozen=True)
class Uniform(Range):
    """Any number in [low, high]."""

    low: float
    high: float

    def __post_init__(self) -> None:
        _check_order(self.low, self.high)

    @property
    def examples(self) -> tuple[float, ...]:
        """Both ends and one between, which is no whole number."""
        return self.low, self.high, self.low + 0.381966 * (self.high - self.low)


@dataclass(frozen=True)
class LogUniform(Range):
    """Any number in [low, high], every order of magnitude being as likely; low above 0."""

    low: float
    high: float

    def __post_init__(self) -> None:
        _check_order(self.low, self.high)
        if self.low <= 0:
            raise ValueError(f"low is {self.low}, expected more than 0")

    @property
    def examples(self) -> tuple[float, ...]:
        """Both ends and one between, which is no whole number."""
        return self.low, self.high, self.low + 0.381966 * (self.high - self.low)


@dataclass(frozen=True)
class Int(Range):
    """Any whole number from low to high, both included."""

    low: int
    high: int

    def __post_init__(self) -> None:
        _check_order(self.low, self.high)

    @property
    def examples(self) -> tuple[int, ...]:
        """Both ends."""
        return self.low, self.high


@dataclass(frozen=True)
class Choice(Range):
    """One of some values, in no order: names, numbers, booleans or null."""

    values: tuple[bool | int | float | str | None, ...]

    def __post_init__(self) -> None:
        if len(set(self.values)) < max(1, len(self.values)):
            raise ValueError(f"values are {list(self.values)}, expected at least one, each once")

    @property
    def examples(self) -> tuple[Any, ...]:
        """All of them."""
        return self.values


RANGES: Registry[type[Range]] = Registry(
    "range", {"uniform": Uniform, "loguniform": LogUniform, "int": Int, "choice": Choice}
)


class Pruner:
    """When a trial that falls behind is stopped."""


@dataclass(frozen=True)
class NoPruner(Pruner):
    """Never."""


@dataclass(frozen=True)
class ASHA(Pruner):
    """Asynchronous successive halving (Li et al. 2020).

    Attributes:
        min_epochs: before a trial is first compared, from 1 up.
        reduction: one in this many goes on at each comparison, from 2 up; the next is after as many times the epochs.
    """

    min_epochs: int = 1
    reduction: int = 3

    def __post_init__(self) -> None:
        if self.min_epochs < 1:
            raise ValueError(f"min_epochs is {self.min_epochs}, expected a whole number from 1 up")
        if self.reduction < 2:
            raise ValueError(f"reduction is {self.reduction}, expected a whole number from 2 up")


@dataclass(frozen=True)
class Median(Pruner):
    """A trial whose best value so far is below the median of the earlier ones at the same epoch.

    Attributes:
        min_epochs: before a trial is first compared, from 0 up.
        startup_trials: that are never stopped, from 1 up.
    """

    min_epochs: int = 1
    startup_trials: int = 5

    def __post_init__(self) -> None:
        if self.min_epochs < 0 or self.startup_trials < 1:
            text = f"min_epochs is {self.min_epochs}, startup_trials is {self.startup_trials}"
            raise ValueError(f"{text}, expected whole numbers from 0 and from 1 up")


@dataclass(frozen=True)
class Hyperband(Pruner):
    """Successive halving from several starts at once (Li et al. 2018), so that none need be chosen.

    Attributes:
        min_epochs: of the most impatient bracket, from 1 up.
        max_epochs: that a trial may take; the downstream stage's.
        reduction: as of successive halving, from 2 up.
    """

    max_epochs: int
    min_epochs: int = 1
    reduction: int = 3

    def __post_init__(self) -> None:
        if not 1 <= self.min_epochs <= self.max_epochs:
            text = f"min_epochs is {self.min_epochs}, max_epochs is {self.max_epochs}"
            raise ValueError(f"{text}, expected 1 <= min_epochs <= max_epochs")
        if self.reduction < 2:
            raise ValueError(f"reduction is {self.reduction}, expected a whole number from 2 up")


PRUNERS: Registry[type[Pruner]] = Registry(
    "pruner", {"none": NoPruner, "asha": ASHA, "median": Median, "hyperband": Hyperband}
)


@dataclass(frozen=True)
class SearchSpec:
    """How each cell's configuration is searched.

    Attributes:
        space: range by dotted path of the setting; empty when nothing is searched.
        trials: for each cell, from 1 up.
        sampler: "tpe", "gp" (Gaussian process) and "cmaes" learn from earlier trials; "random", "quasirandom" (Sobol's
            points, which cover the space more evenly) and "grid" (every combination of choices and whole numbers, in
            random order) do not.
        startup_trials: random ones before a sampler begins to learn.
        pruner: of trials that fall behind.
    """

    space: Mapping[str, Range] = field(default_factory=dict)
    trials: int = 10
    sampler: Literal["tpe", "gp", "cmaes", "random", "quasirandom", "grid"] = "tpe"
    startup_trials: int = 5
    pruner: Pruner = field(default_factory=NoPruner)

    def __post_init__(self) -> None:
        if self.trials < 1:
            raise ValueError(f"trials is {self.trials}, expected a whole number from 1 up")
        if self.startup_trials < 0:
            raise ValueError(f"startup_trials is {self.startup_trials}, expected a whole number from 0 up")
        endless = [path for path, choice in self.space.items() if not isinstance(choice, Choice | Int)]
        if self.sampler == "grid" and endless:
            raise ValueError(f"sampler is 'grid', expected a choice or whole numbers for {', '.join(endless)}")
        if self.sampler == "cmaes" and any(isinstance(choice, Choice) for choice in self.space.values()):
            raise ValueError("sampler is 'cmaes', expected ranges of numbers only: it knows no choices")


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
class Resources:
    """Of each stage."""

    pretext: StageResources = field(default_factory=StageResources)
    registration: StageResources = field(default_factory=StageResources)
    downstream: StageResources = field(default_factory=StageResources)


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
        over: names of the factors that are taken one at a time, the others being combined in full; none for all.
    """

    kind: Literal["full", "one_out", "one_in"] = "full"
    over: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.kind == "full" and self.over:
            raise ValueError(f"over is {list(self.over)}, expected none where every combination is taken")


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
        resources: of each stage.
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
    resources: Resources = field(default_factory=Resources)
    tracking: str | None = None

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", self.name):
            raise ValueError(f"name is '{self.name}', expected letters, digits, and '._-' after the first")
        if self.replicates < 1:
            raise ValueError(f"replicates is {self.replicates}, expected a whole number from 1 up")


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


def _check_order(low: float, high: float) -> None:
    if not low < high:
        raise ValueError(f"low is {low}, high is {high}, expected low < high")
