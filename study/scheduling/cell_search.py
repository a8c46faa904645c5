"""One cell's search: Optuna proposes configurations, and prunes those that fall behind.

Optuna's state is never stored: every proposal is made by a sampler seeded with the trial's number, from the history of
the trials before it, so replaying the ledger into a new `CellSearch` continues the search exactly where it was.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, CmaEsSampler, GPSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.trial import Trial, TrialState
from scipy.stats import qmc

from study.config.ranges import (
    Choice,
    Int,
    LogUniform,
    Range,
    Uniform,
    condition_holds,
    dependency_order,
    inner_condition,
)
from study.config.search import ASHA, OBJECTIVES, Hyperband, Median, Pruner, SearchSpec
from trainables.common.seeds import derive, numpy_generator

optuna.logging.set_verbosity(optuna.logging.ERROR)
warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)


@dataclass(frozen=True)
class Proposal:
    """A configuration to try.

    Attributes:
        params: value by dotted path.
        memory: what the sampler wants to remember with it (Optuna's system attributes).
    """

    params: dict[str, Any]
    memory: dict[str, Any]


class CellSearch:
    """Ask, report and tell, for the trials of one cell, numbered from 0.

    Args:
        spec: the search, its space being the cell's.
        seed: of the proposals; cells of a study share it, so that they start with the same random configurations.
    """

    def __init__(self, spec: SearchSpec, seed: int) -> None:
        self._spec, self._seed = spec, seed
        self._space = {path: _distribution(spec.space[path]) for path in dependency_order(spec.space)}
        directions = [OBJECTIVES[objective] for objective in spec.objectives]
        # Hyperband's brackets are drawn from the name.
        self._study = optuna.create_study(study_name="cell", directions=directions, pruner=_pruner(spec.pruner))
        self._trials: list[Trial] = []
        self._pretexts = optuna.create_study(
            study_name="pretext", direction="maximize", pruner=_pruner(spec.pretext_pruner), sampler=RandomSampler(0)
        )
        self._probed: dict[int, Trial] = {}

    def ask(self) -> Proposal:
        """Propose the next trial's configuration."""
        number = len(self._trials)
        self._study.sampler = _sampler(self._spec, derive(self._seed, "ask", number))
        point = _point(self._spec, self._seed, number)
        if point is not None:
            self._study.enqueue_trial(point)
        if isinstance(self._study.sampler, NSGAIISampler):
            _remember_parents(self._study, self._study.sampler, self._spec.startup_trials)
        trial = self._study.ask()
        for path in self._space:
            if condition_holds(inner_condition(self._spec.space, path), trial.params.get):
                self._suggest(trial, path)
        self._trials.append(trial)
        return Proposal(dict(trial.params), dict(self._study.get_trials(deepcopy=False)[-1].system_attrs))

    def restore(self, proposal: Proposal) -> None:
        """Take up a trial that was proposed before, as if `ask` had just given it."""
        self._trials.append(self._taken_up(proposal))

    def again(self, index: int, proposal: Proposal) -> None:
        """Take up a trial that failed; its failure stays in the history, where samplers pass it over."""
        self._trials[index] = self._taken_up(proposal)

    def report(self, index: int, epoch: int, value: float) -> bool:
        """Record trial `index`'s metric after `epoch`; True when it should stop."""
        trial = self._trials[index]
        if len(self._spec.objectives) > 1:
            return False
        trial.report(value, epoch)
        return trial.should_prune()

    def probe(self, index: int, epoch: int, value: float) -> bool:
        """Record what the probe of trial `index`'s pretraining says after `epoch`; True when it should stop."""
        if index not in self._probed:
            self._probed[index] = self._pretexts.ask()
        trial = self._probed[index]
        trial.report(value, epoch)
        return trial.should_prune()

    def tell(self, index: int, values: Sequence[float] | None, *, stopped: bool) -> None:
        """Record how trial `index` ended: its objectives' values, or stopped early, or failed (no values)."""
        trial = self._trials[index]
        if stopped:
            self._study.tell(trial, state=TrialState.PRUNED)
        elif values is None:
            self._study.tell(trial, state=TrialState.FAIL)
        else:
            self._study.tell(trial, list(values))
        self._end_pretext(index)

    def _end_pretext(self, index: int) -> None:
        """Pruners compare with trials that have ended."""
        trial = self._probed.pop(index, None)
        if trial is not None:
            if trial.should_prune():
                self._pretexts.tell(trial, state=TrialState.PRUNED)
            else:
                self._pretexts.tell(trial, self._pretexts.get_trials(deepcopy=False)[trial.number].last_step)

    def _suggest(self, trial: Trial, path: str) -> None:
        match self._space[path]:
            case FloatDistribution(low=low, high=high, log=log):
                trial.suggest_float(path, low, high, log=log)
            case IntDistribution(low=low, high=high):
                trial.suggest_int(path, low, high)
            case CategoricalDistribution(choices=choices):
                trial.suggest_categorical(path, choices)

    def _taken_up(self, proposal: Proposal) -> Trial:
        frozen = optuna.trial.create_trial(
            state=TrialState.RUNNING,
            params=proposal.params,
            distributions={path: self._space[path] for path in proposal.params},
            system_attrs=proposal.memory,
        )
        self._study.add_trial(frozen)
        return Trial(self._study, self._study.get_trials(deepcopy=False)[-1]._trial_id)


def _remember_parents(study: optuna.Study, sampler: NSGAIISampler, population: int) -> None:
    """Let the genetic sampler choose every generation's parents in turn.

    It gives those that it has just chosen in another order than those that it remembers, so that a search that was
    taken up again would go another way.
    """
    generation = 1
    while len(sampler.get_population(study, generation - 1)) >= population:
        sampler.get_parent_population(study, generation)
        generation += 1


def _distribution(choice: Range) -> BaseDistribution:
    match choice:
        case LogUniform(low=low, high=high):
            return FloatDistribution(low, high, log=True)
        case Uniform(low=low, high=high):
            return FloatDistribution(low, high)
        case Int(low=low, high=high):
            return IntDistribution(low, high)
        case Choice(values=values):
            return CategoricalDistribution(values)
    raise TypeError(f"no Optuna distribution for {choice!r}")


def _point(spec: SearchSpec, seed: int, number: int) -> dict[str, Any] | None:
    """The configuration that trial `number` of a sampler with a plan has; None where the sampler has none."""
    if spec.sampler == "grid":
        every = _grid(spec.space)
        order = numpy_generator(seed, "grid").permutation(len(every))
        return every[int(order[number % len(every)])]
    if spec.sampler == "quasirandom":
        sequence = qmc.Sobol(len(spec.space), scramble=True, rng=numpy_generator(seed, "sobol"))
        place = sequence.random_base2(number.bit_length())[number]
        return {
            path: _at(choice, float(share)) for (path, choice), share in zip(spec.space.items(), place, strict=True)
        }
    return None


def _grid(space: Mapping[str, Range]) -> list[dict[str, Any]]:
    """Every combination, without the settings whose condition it does not meet."""
    points: list[dict[str, Any]] = [{}]
    for path in dependency_order(space):
        inside = inner_condition(space, path)
        points = [
            further
            for point in points
            for further in (
                [{**point, path: value} for value in _values(space[path])]
                if condition_holds(inside, point.get)
                else [point]
            )
        ]
    return points


def _at(choice: Range, share: float) -> Any:
    """The value at a share, in [0, 1), of a range."""
    match choice:
        case LogUniform(low, high):
            return low * (high / low) ** share
        case Uniform(low, high):
            return low + share * (high - low)
    values = _values(choice)
    return values[int(share * len(values))]


def _values(choice: Range) -> list[Any]:
    """All values of a finite range."""
    if isinstance(choice, Int):
        return list(range(choice.low, choice.high + 1))
    assert isinstance(choice, Choice)
    return list(choice.values)


def _sampler(spec: SearchSpec, seed: int) -> BaseSampler:
    seed, startup = seed % 2**32, spec.startup_trials
    match spec.sampler:
        case "tpe":
            conditional = any(choice.when for choice in spec.space.values())
            return TPESampler(
                seed=seed, n_startup_trials=startup, multivariate=True, group=conditional, constant_liar=True
            )
        case "gp":
            return GPSampler(seed=seed, n_startup_trials=startup, warn_independent_sampling=False)
        case "cmaes":
            return CmaEsSampler(seed=seed, n_startup_trials=startup, warn_independent_sampling=False)
        case "nsga2":
            return NSGAIISampler(seed=seed, population_size=startup)
    return RandomSampler(seed=seed)


def _pruner(settings: Pruner) -> BasePruner:
    match settings:
        case ASHA(min_epochs=epochs, reduction=reduction):
            return SuccessiveHalvingPruner(min_resource=epochs, reduction_factor=reduction)
        case Median(min_epochs=epochs, startup_trials=startup):
            return MedianPruner(n_startup_trials=startup, n_warmup_steps=epochs)
        case Hyperband(min_epochs=first, max_epochs=last, reduction=reduction):
            return HyperbandPruner(min_resource=first, max_resource=last, reduction_factor=reduction)
    return NopPruner()
