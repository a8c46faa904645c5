"""Hyperparameter importance by fANOVA."""

from __future__ import annotations

import numpy as np
import optuna
import pandas as pd
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution

from analysis.io.load import StudyResults

MIN_TRIALS = 8
"""Number of completed trials that an estimate needs."""

TREES, DEPTH = 32, 10
"""Size of fANOVA's random forest; Optuna's default of 64 trees of depth 64 is several times slower on 1,000 trials."""

PREFIX = "param/"


def searched(trials: pd.DataFrame) -> list[str]:
    """Return the dotted paths that at least half of the trials set and that took more than one value."""
    names = [name for name in trials.columns if name.startswith(PREFIX)]
    found = [name for name in names if trials[name].notna().mean() >= 0.5 and trials[name].nunique() > 1]
    return [name.removeprefix(PREFIX) for name in found]


def importances(results: StudyResults, cells: list[str]) -> dict[str, float]:
    """Return each setting's fraction of the variance of the validation metric within cells, largest first.

    Optuna's fANOVA (Hutter et al. 2014, "An efficient approach for assessing hyperparameter importance") runs on
    completed trials only, because the final value of a pruned trial is unknown. Each cell's mean is subtracted first,
    so that differences between cells are not attributed to settings.

    Args:
        results: results of the study.
        cells: keys of the cells whose trials are used.

    Returns:
        Fractions by dotted path; empty with fewer than `MIN_TRIALS` completed trials or a single searched setting.
    """
    trials = results.of_kind("trial")
    trials = trials[(trials["status"] == "completed") & trials["cell"].isin(cells)]
    metric = f"val/{results.plan.metric}"
    names = searched(trials)
    if len(trials) < MIN_TRIALS or len(names) < 2 or metric not in trials:
        return {}
    trials = trials.dropna(subset=[metric, *(PREFIX + name for name in names)])
    value = trials[metric] - trials.groupby("cell")[metric].transform("mean")
    if len(trials) < MIN_TRIALS or np.isclose(value.std(), 0):
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
