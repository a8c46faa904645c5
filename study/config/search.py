"""Settings of the hyperparameter search: space, sampler, objectives and pruners."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from study.config.ranges import Choice, Int, Range, dependency_order
from trainables.common.added import ADDED
from trainables.common.errors import did_you_mean
from trainables.common.registry import Registry


class Pruner:
    """Base class of early stopping rules for trials."""


@dataclass(frozen=True)
class NoPruner(Pruner):
    """No early stopping of trials."""


@dataclass(frozen=True)
class ASHA(Pruner):
    """Asynchronous successive halving (Li et al. 2020).

    Attributes:
        min_epochs: epochs before the first comparison, at least 1.
        reduction: reduction factor, at least 2: the best 1/reduction of the trials continue, and the next comparison
            is after `reduction` times the epochs.
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
    """Median stopping rule: stop a trial whose best value is below the median of earlier trials at that epoch.

    Attributes:
        min_epochs: epochs before the first comparison, at least 0.
        startup_trials: number of first trials that are never stopped, at least 1.
    """

    min_epochs: int = 1
    startup_trials: int = 5

    def __post_init__(self) -> None:
        if self.min_epochs < 0 or self.startup_trials < 1:
            text = f"min_epochs is {self.min_epochs}, startup_trials is {self.startup_trials}"
            raise ValueError(f"{text}, expected whole numbers from 0 and from 1 up")


@dataclass(frozen=True)
class Hyperband(Pruner):
    """Hyperband (Li et al. 2018): successive halving in several brackets with different `min_epochs`.

    Attributes:
        max_epochs: epochs of a full trial, usually those of the downstream stage; at least `min_epochs`.
        min_epochs: epochs before the first comparison in the most aggressive bracket, at least 1.
        reduction: reduction factor of successive halving, at least 2.
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
"""Direction of each objective: mean Dice of the validation split; temporal roughness there, for networks that segment
sequences (paper 002, equation 2: log10, mean over structures); wall-clock seconds and GPU hours of a trial."""

MULTI_OBJECTIVE_SAMPLERS = ("tpe", "nsga2", "random", "quasirandom", "grid")
"""Samplers that support several objectives."""


MAX_TRIALS = 100_000
"""Largest number of trials of a cell."""


MAX_PARALLEL = 10_000
"""Largest number of trials of a cell that are under way at the same time."""


@dataclass(frozen=True)
class SearchSpec:
    """Hyperparameter search of each cell.

    Attributes:
        space: ranges by dotted path of the searched setting; empty for no search.
        trials: number of trials for each cell, at least 1.
        objectives: names from `OBJECTIVES`, "val/dice" first. With several, replicates use the configuration that is
            best in the first, and `study best` prints the Pareto front.
        sampler: "tpe", "gp" (Gaussian process), "cmaes" and "nsga2" (genetic, for several objectives) learn from
            earlier trials; "random", "quasirandom" (Sobol sequence) and "grid" (every combination of choices and
            whole numbers, in random order) do not.
        startup_trials: number of random trials before the sampler uses earlier results, at least 0; for "nsga2" the
            population size, at least 2.
        parallel: trials of a cell that are under way at the same time on the search's virtual clock
            (`study.scheduling.virtual_clock`), from 1 up; null is the number of random trials. Decisions depend on this
            number and not on the cluster. 1 tries one configuration after the other.
        prior: names of earlier studies of the workspace whose completed trials the search begins with, where they lie
            in the search space. The best of them is tried first; "tpe" and "gp" learn from all, and count them among
            the random trials. Of a study with a cell of the same name only that cell's trials count.
        pruner: early stopping rule for trials; `none` runs every trial to its end.
        pretext_pruner: early stopping rule for pretrainings by their probe score; requires `pretext.probe` and a
            searched setting of pretraining.
    """

    space: Mapping[str, Range] = field(default_factory=dict)
    trials: int = 10
    objectives: tuple[str, ...] = ("val/dice",)
    sampler: Literal["tpe", "gp", "cmaes", "nsga2", "random", "quasirandom", "grid"] = "tpe"
    startup_trials: int = 5
    parallel: int | None = field(default=None, metadata=ADDED)
    prior: tuple[str, ...] = field(default=(), metadata=ADDED)
    pruner: Pruner = field(default_factory=NoPruner)
    pretext_pruner: Pruner = field(default_factory=NoPruner)

    def __post_init__(self) -> None:
        problems = [*self._count_problems(), *self._objective_problems(), *self._sampler_problems()]
        try:
            dependency_order(self.space)
        except ValueError as error:
            problems.append(str(error))
        if problems:
            raise ValueError(*problems)

    @property
    def workers(self) -> int:
        """Trials of a cell that are under way at the same time on the virtual clock."""
        return self.parallel if self.parallel is not None else max(1, self.startup_trials)

    def _count_problems(self) -> Iterator[str]:
        if self.trials < 1:
            yield f"trials is {self.trials}, expected a whole number from 1 up"
        if self.trials > MAX_TRIALS:
            yield f"trials is {self.trials:,}, expected at most {MAX_TRIALS:,} in each cell"
        if self.startup_trials < 0:
            yield f"startup_trials is {self.startup_trials}, expected a whole number from 0 up"
        elif self.sampler == "nsga2" and self.startup_trials < 2:
            yield f"startup_trials is {self.startup_trials}, expected at least 2 for a generation of nsga2"
        if self.parallel is not None and not 1 <= self.parallel <= MAX_PARALLEL:
            yield f"parallel is {self.parallel}, expected a whole number from 1 to {MAX_PARALLEL:,}, or null"

    def _objective_problems(self) -> Iterator[str]:
        unknown = [objective for objective in self.objectives if objective not in OBJECTIVES]
        for objective in unknown:
            yield f"unknown objective '{objective}'{did_you_mean(objective, OBJECTIVES)}"
        if unknown:
            return
        if self.objectives[:1] != ("val/dice",) or len(set(self.objectives)) < len(self.objectives):
            yield f"objectives are {list(self.objectives)}, expected val/dice first and no duplicates"
        if len(self.objectives) == 1:
            return
        if self.sampler not in MULTI_OBJECTIVE_SAMPLERS:
            yield f"sampler is '{self.sampler}', expected for several objectives: {', '.join(MULTI_OBJECTIVE_SAMPLERS)}"
        if not isinstance(self.pruner, NoPruner):
            yield "pruner: several objectives do not support pruning, expected none"

    def _sampler_problems(self) -> Iterator[str]:
        continuous = [path for path, choice in self.space.items() if not isinstance(choice, Choice | Int)]
        if self.sampler == "grid" and continuous:
            yield f"sampler is 'grid', expected a choice or whole numbers for {', '.join(continuous)}"
        elif self.sampler == "grid" and (points := self._grid_points()) > MAX_TRIALS:
            yield f"sampler is 'grid' with {points:,} points, expected at most {MAX_TRIALS:,}"
        if self.sampler == "cmaes" and any(isinstance(choice, Choice) for choice in self.space.values()):
            yield "sampler is 'cmaes': CMA-ES does not support categorical parameters (found a choice)"
        if self.prior and self.sampler in ("grid", "quasirandom"):
            yield f"prior: sampler '{self.sampler}' has fixed points and cannot begin with others"

    def _grid_points(self) -> int:
        """Return the number of points of a grid, counted without the conditions that leave points out."""
        return math.prod(
            len(choice.values) if isinstance(choice, Choice) else choice.high - choice.low + 1
            for choice in self.space.values()
            if isinstance(choice, Choice | Int)
        )
