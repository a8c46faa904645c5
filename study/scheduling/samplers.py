"""Optuna's samplers and distributions, built from the settings of a search."""

from __future__ import annotations

import warnings

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, CmaEsSampler, GPSampler, NSGAIISampler, RandomSampler, TPESampler

from study.config.ranges import Choice, Int, LogUniform, Range, Uniform
from study.config.search import SearchSpec

optuna.logging.set_verbosity(optuna.logging.ERROR)
warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)


def build_sampler(spec: SearchSpec, seed: int) -> BaseSampler:
    """Build the sampler that a search names.

    Args:
        spec: Settings of the search.
        seed: Any integer; its lower 32 bits seed the sampler.

    Returns:
        The sampler; a random one for "grid" and "quasirandom", whose points are enqueued.
    """
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


def build_distribution(choice: Range) -> BaseDistribution:
    """Build the Optuna distribution of a range.

    Raises:
        TypeError: Optuna has no distribution for this class of range.
    """
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


def store_parents(study: optuna.Study, sampler: NSGAIISampler, population: int) -> None:
    """Store the parents of every complete generation in the study, before the sampler needs them.

    NSGA-II returns newly selected parents in another order than stored ones. A replayed search always reads stored
    ones, so a live search has to do so as well.

    Args:
        study: The study of the search.
        sampler: The sampler that proposes next.
        population: Trials in a generation.
    """
    generation = 1
    while len(sampler.get_population(study, generation - 1)) >= population:
        sampler.get_parent_population(study, generation)
        generation += 1
