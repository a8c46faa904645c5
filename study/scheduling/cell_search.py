"""The hyperparameter search of one cell: Optuna proposes configurations and prunes trials.

Optuna's state is never stored. Every proposal comes from a sampler seeded with the trial's number and from the history
of earlier trials, so replaying the ledger into a new `CellSearch` continues the search exactly where it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import NSGAIISampler
from optuna.trial import Trial, TrialState

from study.config.ranges import condition_holds, dependency_order, inner_condition
from study.config.search import OBJECTIVES, Hyperband, SearchSpec
from study.scheduling.fixed_points import fixed_point
from study.scheduling.prior import Observation, best_observation
from study.scheduling.pruning import PruningDecisions, build_pruner
from study.scheduling.samplers import build_distribution, build_sampler, store_parents
from trainables.common.seeds import derive

FORGETFUL = ("tpe", "random", "quasirandom", "grid")
"""Samplers that propose as well from a part of a long history."""

MAX_HISTORY = 1000
"""Number of trials in Optuna's history at which half of them are forgotten, so that the cost of a trial is constant."""


@dataclass(frozen=True)
class Proposal:
    """A configuration to train.

    Attributes:
        params: Value of each searched setting, by dotted path.
        system_attrs: Optuna's system attributes of the trial, which its sampler reads again on replay.
    """

    params: Mapping[str, Any]
    system_attrs: Mapping[str, Any]


class CellSearch:
    """Ask-and-tell interface to the search of one cell, whose trials are numbered from 0.

    Args:
        spec: Settings of the search; its space is the cell's part of the study's.
        seed: Seed of the proposals; cells of a study share it, so that they start with the same random configurations.
    """

    def __init__(self, spec: SearchSpec, seed: int) -> None:
        self._spec, self._seed = spec, seed
        self._space = {path: build_distribution(spec.space[path]) for path in dependency_order(spec.space)}
        directions = [OBJECTIVES[objective] for objective in spec.objectives]
        self._directions = directions
        self._study = self._new_study()
        self._trials: dict[int, Trial] = {}
        self._next = 0
        self._decisions = PruningDecisions()
        self._first: Mapping[str, Any] | None = None
        self._earlier = 0

    def tell_prior(self, observations: Sequence[Observation]) -> None:
        """Add trials of earlier studies to the history, before the first trial, which will be the best of them."""
        for each in observations:
            distributions = {path: self._space[path] for path in each.params}
            self._study.add_trial(
                optuna.trial.create_trial(params=each.params, distributions=distributions, values=each.values)
            )
        self._earlier = len(observations)
        if observations:
            self._first = best_observation(observations).params

    def ask(self) -> Proposal:
        """Propose the configuration of the next trial and add the trial to the history."""
        number = self._next
        self._forget()
        # Other random numbers than those of an earlier study with the same seed, whose trials would come again.
        self._study.sampler = build_sampler(self._spec, derive(self._seed, "ask", self._earlier + number))
        self._store_parents(number)
        point = fixed_point(self._spec, self._seed, number)
        if number == 0 and self._first is not None:
            point = dict(self._first)
        if point is not None:
            self._study.enqueue_trial(point)
        trial = self._study.ask()
        for path in self._space:
            if condition_holds(inner_condition(self._spec.space, path), trial.params.get):
                self._suggest(trial, path)
        self._trials[number] = trial
        self._next += 1
        return Proposal(dict(trial.params), dict(self._study.get_trials(deepcopy=False)[-1].system_attrs))

    def replay(self, index: int, proposal: Proposal) -> None:
        """Add trial `index` to the history with its earlier proposal; nothing if `ask` has just added it."""
        if index == self._next:
            self._forget()
            self._store_parents(index)
            self._trials[index] = self._add_trial(proposal)
            self._next += 1

    def retry(self, index: int, proposal: Proposal) -> None:
        """Run failed trial `index` again with its proposal; samplers ignore the failed one in the history."""
        self._trials[index] = self._add_trial(proposal)
        self._decisions.reset(index)

    def report(self, index: int, epoch: int, value: float) -> None:
        """Record the metric of trial `index` after `epoch`; with several objectives there is no pruning."""
        if len(self._spec.objectives) == 1:
            self._decisions.report(index, self._trials[index], epoch, value)

    def should_prune(self, index: int) -> bool:
        """Return True if trial `index` should stop, by its last report."""
        return self._decisions.should_prune(index)

    def tell(self, index: int, values: Sequence[float] | None, *, stopped: bool) -> None:
        """Record the end of trial `index`.

        Args:
            index: Number of the trial in its cell, from 0.
            values: One value for each objective; None for a failed trial.
            stopped: True for a pruned trial, whose values are ignored.
        """
        trial = self._trials[index]
        if stopped:
            self._study.tell(trial, state=TrialState.PRUNED)
        elif values is None:
            self._study.tell(trial, state=TrialState.FAIL)
        else:
            self._study.tell(trial, list(values))

    def _new_study(self) -> optuna.Study:
        # Hyperband's brackets are drawn from the name.
        pruner = build_pruner(self._spec.pruner)
        return optuna.create_study(study_name="cell", directions=self._directions, pruner=pruner)

    def _forget(self) -> None:
        """Keep the best and the latest trials of a long history, a quarter of `MAX_HISTORY` each, and running ones.

        Other samplers than TPE need all trials or use none, and Hyperband knows trials by their number.
        """
        known = self._study.get_trials(deepcopy=False)
        if len(known) < MAX_HISTORY or self._spec.sampler not in FORGETFUL or isinstance(self._spec.pruner, Hyperband):
            return
        worst_first = sorted(
            (trial for trial in known if trial.state is TrialState.COMPLETE),
            key=lambda trial: trial.values[0] * (1 if self._directions[0] == "maximize" else -1),
        )
        numbers = {trial.number for trial in (*worst_first[-MAX_HISTORY // 4 :], *known[-MAX_HISTORY // 4 :])}
        numbers |= {trial.number for trial in known if not trial.state.is_finished()}
        indices = {trial.number: index for index, trial in self._trials.items()}
        self._study, self._trials = self._new_study(), {}
        for trial in known:
            if trial.number in numbers:
                self._study.add_trial(trial)
                if trial.number in indices:
                    added = self._study.get_trials(deepcopy=False)[-1]
                    self._trials[indices[trial.number]] = Trial(self._study, added._trial_id)

    def _suggest(self, trial: Trial, path: str) -> None:
        match self._space[path]:
            case FloatDistribution(low=low, high=high, log=log):
                trial.suggest_float(path, low, high, log=log)
            case IntDistribution(low=low, high=high):
                trial.suggest_int(path, low, high)
            case CategoricalDistribution(choices=choices):
                trial.suggest_categorical(path, choices)

    def _store_parents(self, number: int) -> None:
        """Select the parents of complete generations as NSGA-II does when it proposes trial `number`."""
        if self._spec.sampler == "nsga2":
            sampler = build_sampler(self._spec, derive(self._seed, "ask", number))
            assert isinstance(sampler, NSGAIISampler)
            store_parents(self._study, sampler, self._spec.startup_trials)

    def _add_trial(self, proposal: Proposal) -> Trial:
        """Add a running trial with given parameters to the Optuna study."""
        frozen = optuna.trial.create_trial(
            state=TrialState.RUNNING,
            params=dict(proposal.params),
            distributions={path: self._space[path] for path in proposal.params},
            system_attrs=dict(proposal.system_attrs),
        )
        self._study.add_trial(frozen)
        return Trial(self._study, self._study.get_trials(deepcopy=False)[-1]._trial_id)
