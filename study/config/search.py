"""How a cell's configuration is searched: its space, its sampler, and when what falls behind is stopped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from study.config.ranges import Choice, Int, Range, in_order
from trainables.common.errors import did_you_mean
from trainables.common.registry import Registry


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


OBJECTIVES: Mapping[str, Literal["maximize", "minimize"]] = {
    "val/dice": "maximize",
    "val/smoothness": "minimize",
    "seconds": "minimize",
    "gpu_hours": "minimize",
}
"""What a search can be for, and which way is better: mean Dice of the validation split; roughness over time there, for
sequences that are segmented as a whole (paper 002, equation 2: log10, the mean over structures); what a trial costs."""

SEVERAL = ("tpe", "nsga2", "random", "quasirandom", "grid")
"""Samplers that can search for several things at once."""


@dataclass(frozen=True)
class SearchSpec:
    """How each cell's configuration is searched.

    Attributes:
        space: range by dotted path of the setting; empty when nothing is searched.
        trials: for each cell, from 1 up.
        objectives: what is searched for. With several, every trial is told what it reached of each; the replicates
            take the configuration that is best in the first, and `study best` gives all that no other beats.
        sampler: "tpe", "gp" (Gaussian process), "cmaes" and "nsga2" (genetic, for several objectives) learn from
            earlier trials; "random", "quasirandom" (Sobol's points, which cover the space more evenly) and "grid"
            (every combination of choices and whole numbers, in random order) do not.
        startup_trials: random ones before a sampler begins to learn; of "nsga2", a generation.
        pruner: of trials that fall behind.
        pretext_pruner: of pretrainings whose probe falls behind those of the cell's earlier trials, where settings of
            the pretraining are searched.
    """

    space: Mapping[str, Range] = field(default_factory=dict)
    trials: int = 10
    objectives: tuple[str, ...] = ("val/dice",)
    sampler: Literal["tpe", "gp", "cmaes", "nsga2", "random", "quasirandom", "grid"] = "tpe"
    startup_trials: int = 5
    pruner: Pruner = field(default_factory=NoPruner)
    pretext_pruner: Pruner = field(default_factory=NoPruner)

    def __post_init__(self) -> None:
        if self.trials < 1:
            raise ValueError(f"trials is {self.trials}, expected a whole number from 1 up")
        if self.startup_trials < 0:
            raise ValueError(f"startup_trials is {self.startup_trials}, expected a whole number from 0 up")
        in_order(self.space)
        self._check_objectives()
        self._check_sampler()

    def _check_objectives(self) -> None:
        for objective in self.objectives:
            if objective not in OBJECTIVES:
                raise ValueError(f"unknown objective '{objective}'{did_you_mean(objective, OBJECTIVES)}")
        if self.objectives[:1] != ("val/dice",) or len(set(self.objectives)) < len(self.objectives):
            raise ValueError(f"objectives are {list(self.objectives)}, expected val/dice first, and each once")
        if len(self.objectives) == 1:
            return
        if self.sampler not in SEVERAL:
            raise ValueError(f"sampler is '{self.sampler}', expected for several objectives {', '.join(SEVERAL)}")
        if not isinstance(self.pruner, NoPruner):
            raise ValueError("pruner: with several objectives no trial falls behind in all, expected none")

    def _check_sampler(self) -> None:
        endless = [path for path, choice in self.space.items() if not isinstance(choice, Choice | Int)]
        if self.sampler == "grid" and endless:
            raise ValueError(f"sampler is 'grid', expected a choice or whole numbers for {', '.join(endless)}")
        if self.sampler == "cmaes" and any(isinstance(choice, Choice) for choice in self.space.values()):
            raise ValueError("sampler is 'cmaes', expected ranges of numbers only: it knows no choices")
        if self.sampler == "nsga2" and self.startup_trials < 2:
            raise ValueError(f"startup_trials is {self.startup_trials}, expected at least 2 for a generation of nsga2")
