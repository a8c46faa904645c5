"""One cell's search: Optuna proposes configurations, and prunes those that fall behind.

Optuna's state is never stored: every proposal is made by a sampler seeded with the trial's number, from the history of
the trials before it, so replaying the ledger into a new `CellSearch` continues the search exactly where it was.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.pruners import BasePruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import Trial, TrialState

from study.declaration.spec import ASHA, Choice, Int, LogUniform, Range, SearchSpec, Uniform
from trainables.seeds import derive

optuna.logging.set_verbosity(optuna.logging.ERROR)


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
        self._study = optuna.create_study(direction="maximize", pruner=_pruner(spec))
        self._trials: list[Trial] = []

    def ask(self) -> Proposal:
        """Propose the next trial's configuration."""
        self._study.sampler = _sampler(self._spec, derive(self._seed, "ask", len(self._trials)))
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


def _sampler(spec: SearchSpec, seed: int) -> BaseSampler:
    seed %= 2**32
    if spec.sampler == "random":
        return RandomSampler(seed=seed)
    return TPESampler(seed=seed, n_startup_trials=spec.startup_trials, multivariate=True, constant_liar=True)


def _pruner(spec: SearchSpec) -> BasePruner:
    if isinstance(spec.pruner, ASHA):
        return SuccessiveHalvingPruner(min_resource=spec.pruner.min_epochs, reduction_factor=spec.pruner.reduction)
    return NopPruner()
