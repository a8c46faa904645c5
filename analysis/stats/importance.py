"""Importance of searched settings by fANOVA, with bootstrap intervals and the importance that chance gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.io.load import StudyResults
from analysis.stats.fanova import main_effects
from analysis.stats.setting_scale import setting_scale
from analysis.stats.trials import PREFIX, searched
from trainables.common.seeds import numpy_generator

MIN_TRIALS = 8
"""Number of completed trials that an estimate needs."""

MAX_TRIALS = 200
"""Largest number of trials of an estimate, which bounds its time; of more, so many are drawn at random."""

TREES = 32
"""Trees of the estimate's forest; each resample has half as many."""

RESAMPLES = 100
"""Bootstrap resamples of the trials, and permutations."""


@dataclass(frozen=True)
class Share:
    """Fraction of the variance of the validation metric that one setting explains alone.

    Attributes:
        setting: dotted path.
        share: estimate in [0, 1].
        low: lower bound of its 95% bootstrap interval over trials.
        high: upper bound.
    """

    setting: str
    share: float
    low: float
    high: float


@dataclass(frozen=True)
class Importances:
    """Importance of all searched settings.

    Attributes:
        shares: one for each setting, largest first; empty with too few trials.
        chance: 95th percentile of the share of a further setting, a copy of one with its values permuted.
        trials: number of trials in the estimate.
        completed: number of completed trials.
    """

    shares: tuple[Share, ...]
    chance: float
    trials: int
    completed: int

    @property
    def mattered(self) -> tuple[Share, ...]:
        """Settings whose whole interval exceeds what chance gives."""
        return tuple(each for each in self.shares if each.low > self.chance)

    @property
    def sample(self) -> str:
        """Number of trials in words."""
        if self.trials < self.completed:
            return f"{self.trials} of {self.completed:,} completed trials, drawn at random"
        return f"{self.trials} completed trial{'' if self.trials == 1 else 's'}"


def importances(results: StudyResults, cells: Sequence[str]) -> Importances:
    """Return the fraction of the variance of the validation metric within cells that each setting explains.

    fANOVA (Hutter et al. 2014) runs on completed trials only, because the final value of a pruned trial is unknown.
    Each cell's mean is subtracted first, so that differences between cells are not attributed to settings. Intervals
    are percentiles over resampled trials, with a forest fitted to each; they cover the draw of the trials, not the bias
    of forests, which favor the strongest settings. Chance is the share of a further setting, each time a copy of one of
    them whose values are permuted among the trials.

    Args:
        results: results of the study.
        cells: keys of the cells whose trials are used.

    Returns:
        Shares; none with fewer than `MIN_TRIALS` completed trials, a single searched setting, or no variance.
    """
    trials = results.of_kind("trial")
    trials = trials[(trials["status"] == "completed") & trials["cell"].isin(cells)]
    metric, names = f"val/{results.plan.metric}", searched(trials)
    if metric in trials:
        trials = trials.dropna(subset=[metric, *(PREFIX + name for name in names)])
    completed = len(trials)
    if completed < MIN_TRIALS or len(names) < 2 or metric not in trials:
        return Importances((), 0.0, completed, completed)
    drawn = numpy_generator(0, "importance", "trials").permutation(completed)[:MAX_TRIALS]
    trials = trials.iloc[np.sort(drawn)]
    value = trials[metric] - trials.groupby("cell")[metric].transform("mean")
    if np.isclose(value.std(), 0):
        return Importances((), 0.0, len(trials), completed)
    scales = [setting_scale(name, trials[PREFIX + name], results.plan.space) for name in names]
    places = [scale.uniform(scale.place(trials[PREFIX + n])) for n, scale in zip(names, scales, strict=True)]
    bounds = np.array([scale.bounds for scale in scales])
    choices = [number for number, scale in enumerate(scales) if scale.choices]
    shares, chance = _estimate(names, np.column_stack(places), value.to_numpy(np.float64), bounds, choices)
    return Importances(shares, chance, len(trials), completed)


def _estimate(
    names: Sequence[str],
    settings: npt.NDArray[np.float64],
    value: npt.NDArray[np.float64],
    bounds: npt.NDArray[np.float64],
    choices: Sequence[int],
) -> tuple[tuple[Share, ...], float]:
    """Return the share of each setting, largest first, and what chance gives."""
    random = numpy_generator(0, "importance", "estimate")
    share = main_effects(settings, value, bounds, TREES, random, choices)
    random = numpy_generator(0, "importance", "resamples")
    resamples = (random.integers(len(value), size=len(value)) for _ in range(RESAMPLES))
    resampled = [main_effects(settings[rows], value[rows], bounds, TREES // 2, random, choices) for rows in resamples]
    low, high = np.quantile(resampled, [0.025, 0.975], axis=0)
    random = numpy_generator(0, "importance", "chance")
    by_chance = []
    for number in range(RESAMPLES):
        copied = number % len(names)
        wider = np.column_stack([settings, random.permutation(settings[:, copied])])
        further = [len(names)] if copied in choices else []
        found = main_effects(
            wider, value, bounds[[*range(len(names)), copied]], TREES // 2, random, [*choices, *further]
        )
        by_chance.append(found[-1])
    low, high = np.minimum(low, share), np.maximum(high, share)
    shares = [Share(*each) for each in zip(names, share.tolist(), low.tolist(), high.tolist(), strict=True)]
    return tuple(sorted(shares, key=lambda each: -each.share)), float(np.quantile(by_chance, 0.95))
