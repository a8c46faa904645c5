"""How much each searched setting mattered."""

from __future__ import annotations

import numpy as np
import optuna
import pandas as pd
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution

from analysis.io.load import StudyResults

FEWEST = 8
"""Completed trials below which nothing can be said."""

TREES, DEPTH = 32, 10
"""Of fANOVA's forest: with Optuna's 64 and 64 a thousand trials take several times as long."""

PREFIX = "param/"


def searched(trials: pd.DataFrame) -> list[str]:
    """The dotted paths that at least half of the trials have and that took more than one value."""
    names = [name for name in trials.columns if name.startswith(PREFIX)]
    found = [name for name in names if trials[name].notna().mean() >= 0.5 and trials[name].nunique() > 1]
    return [name.removeprefix(PREFIX) for name in found]


def importances(results: StudyResults, cells: list[str]) -> dict[str, float]:
    """Each setting's share of what varies in the validation metric within a cell, by fANOVA; greatest first.

    fANOVA (Hutter et al. 2014, "An efficient approach for assessing hyperparameter importance") as Optuna has it, on
    completed trials: what a stopped one would have reached is not known. Each cell's mean is taken off first, so that
    what the cells differ in is not put down to the settings. Empty below `FEWEST` completed trials, and where a single
    setting was searched, whose share says nothing.
    """
    trials = results.of_kind("trial")
    trials = trials[(trials["status"] == "completed") & trials["cell"].isin(cells)]
    metric = f"val/{results.plan.metric}"
    names = searched(trials)
    if len(trials) < FEWEST or len(names) < 2 or metric not in trials:
        return {}
    trials = trials.dropna(subset=[metric, *(PREFIX + name for name in names)])
    value = trials[metric] - trials.groupby("cell")[metric].transform("mean")
    if len(trials) < FEWEST or np.isclose(value.std(), 0):
        return {}
    distributions = {name: _distribution(trials[PREFIX + name], name in results.plan.logarithmic) for name in names}
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study()
    for number, place in enumerate(trials.index):
        params = {name: trials.at[place, PREFIX + name] for name in names}
        study.add_trial(
            optuna.trial.create_trial(params=params, distributions=distributions, value=float(value.iloc[number]))
        )
    evaluator = optuna.importance.FanovaImportanceEvaluator(n_trees=TREES, max_depth=DEPTH, seed=0)
    return optuna.importance.get_param_importances(study, evaluator=evaluator)


def _distribution(values: pd.Series, by_logarithm: bool) -> BaseDistribution:
    if pd.api.types.is_bool_dtype(values) or not pd.api.types.is_numeric_dtype(values):
        return CategoricalDistribution(list(values.unique()))
    return FloatDistribution(float(values.min()), float(values.max()), log=by_logarithm)
