"""One cell's search: Optuna proposes configurations, and prunes those that fall behind.

Optuna's state is never stored: every proposal is made by a sampler seeded with the trial's number, from the history of
the trials before it, so replaying the ledger into a new `CellSearch` continues the search exactly where it was.
"""

from __future__ import annotations

import itertools
import warnings
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
from optuna.samplers import BaseSampler, CmaEsSampler, GPSampler, RandomSampler, TPESampler
from optuna.trial import Trial, TrialState
from scipy.stats import qmc

from study.declaration.spec import ASHA, Choice, Hyperband, Int, LogUniform, Median, Range, SearchSpec, Uniform
from trainables.seeds import derive, numpy_generator

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
        spec: the study's search.
        seed: of the proposals; cells of a study share it, so that they start with the same random configurations.
    """

    def __init__(self, spec: SearchSpec, seed: int) -> None:
        self._spec, self._seed = spec, seed
        self._space = {path: _distribution(choice) for path, choice in spec.space.items()}
        # Hyperband's brackets are drawn from the name.
        self._study = optuna.create_study(study_name="cell", direction="maximize", pruner=_pruner(spec))
        self._trials: list[Trial] = []

    def ask(self) -> Proposal:
        """Propose the next trial's configuration."""
        number = len(self._trials)
        self._study.sampler = _sampler(self._spec, derive(self._seed, "ask", number))
        point = _point(self._spec, self._seed, number)
        if point is not None:
            self._study.enqueue_trial(point)
        trial = self._study.ask(fixed_distributions=self._space)
        self._trials.append(trial)
        return Proposal(dict(trial.params), dict(self._study.trials[-1].system_attrs))

    def restore(self, proposal: Proposal) -> None:
        """Take up a trial that was proposed before, as if `ask` had just given it."""
        self._trials.append(self._taken_up(proposal))

    def again(self, index: int, proposal: Proposal) -> None:
        """Take up a trial that failed; its failure stays in the history, where samplers pass it over."""
        self._trials[index] = self._taken_up(proposal)

    def _taken_up(self, proposal: Proposal) -> Trial:
        frozen = optuna.trial.create_trial(
            state=TrialState.RUNNING,
            params=proposal.params,
            distributions=self._space,
            system_attrs=proposal.memory,
        )
        self._study.add_trial(frozen)
        return Trial(self._study, self._study.trials[-1]._trial_id)

    def report(self, index: int, epoch: int, value: float) -> bool:
        """Record trial `index`'s metric after `epoch`; True when it should stop."""
        trial = self._trials[index]
        trial.report(value, epoch)
        return trial.should_prune()

    def tell(self, index: int, value: float | None, *, stopped: bool) -> None:
        """Record how trial `index` ended: its value, or stopped early, or failed (no value)."""
        trial = self._trials[index]
        if stopped:
            self._study.tell(trial, state=TrialState.PRUNED)
        elif value is None:
            self._study.tell(trial, state=TrialState.FAIL)
        else:
            self._study.tell(trial, value)


def _distribution(choice: Range) -> BaseDistribution:
    match choice:
        case LogUniform(low, high):
            return FloatDistribution(low, high, log=True)
        case Uniform(low, high):
            return FloatDistribution(low, high)
        case Int(low, high):
            return IntDistribution(low, high)
        case Choice(values):
            return CategoricalDistribution(values)
    raise TypeError(f"no Optuna distribution for {choice!r}")


def _point(spec: SearchSpec, seed: int, number: int) -> dict[str, Any] | None:
    """The configuration that trial `number` of a sampler with a plan has; None where the sampler has none."""
    if spec.sampler == "grid":
        every = list(itertools.product(*(_values(choice) for choice in spec.space.values())))
        order = numpy_generator(seed, "grid").permutation(len(every))
        return dict(zip(spec.space, every[order[number % len(every)]], strict=True))
    if spec.sampler == "quasirandom":
        sequence = qmc.Sobol(len(spec.space), scramble=True, rng=numpy_generator(seed, "sobol"))
        place = sequence.random_base2(number.bit_length())[number]
        return {
            path: _at(choice, float(share)) for (path, choice), share in zip(spec.space.items(), place, strict=True)
        }
    return None


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
            return TPESampler(seed=seed, n_startup_trials=startup, multivariate=True, constant_liar=True)
        case "gp":
            return GPSampler(seed=seed, n_startup_trials=startup)
        case "cmaes":
            return CmaEsSampler(seed=seed, n_startup_trials=startup)
    return RandomSampler(seed=seed)


def _pruner(spec: SearchSpec) -> BasePruner:
    match spec.pruner:
        case ASHA(min_epochs=epochs, reduction=reduction):
            return SuccessiveHalvingPruner(min_resource=epochs, reduction_factor=reduction)
        case Median(min_epochs=epochs, startup_trials=startup):
            return MedianPruner(n_startup_trials=startup, n_warmup_steps=epochs)
        case Hyperband(min_epochs=first, max_epochs=last, reduction=reduction):
            return HyperbandPruner(min_resource=first, max_resource=last, reduction_factor=reduction)
    return NopPruner()
