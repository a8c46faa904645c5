from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from analysis.io.load import StudyResults, load
from analysis.report.search import importance_sentence
from analysis.stats import importance
from analysis.stats.importance import Importances, Share, importances
from study.config.ranges import Choice, LogUniform, Range, Uniform
from study.storage.workspace import StudyFolder

SPACE: dict[str, Range] = {"lr": LogUniform(1e-5, 1e-1), "strength": Uniform(0.0, 1.0), "size": Choice((16, 32, 64))}
Score = Callable[[pd.DataFrame], pd.Series]


@pytest.fixture
def make_search(make_study: Callable[..., StudyFolder]) -> Callable[..., StudyResults]:
    """Return a function from a score, a number of trials and a seed to results with that search in two cells."""
    base = load(make_study(methods=("random", "byol"), fractions=("1",), subjects=2, replicates=1))

    def search(score: Score, count: int, seed: int = 0) -> StudyResults:
        random = np.random.default_rng(seed)
        trials = pd.DataFrame(
            {
                "param/lr": 10 ** random.uniform(-5, -1, count),
                "param/strength": random.random(count),
                "param/size": random.choice([16, 32, 64], count),
            }
        )
        cell = np.where(np.arange(count) % 2, *base.plan.cells)
        trials["val/dice"] = score(trials) + 0.3 * (np.arange(count) % 2)  # cells differ
        trials = trials.assign(kind="trial", status="completed", cell=cell, index=range(count))
        return replace(base, plan=replace(base.plan, space=SPACE), jobs=trials)

    return search


def noise(seed: int) -> Score:
    return lambda trials: pd.Series(np.random.default_rng(1000 + seed).normal(size=len(trials)))


@pytest.fixture
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importance, "TREES", 8)
    monkeypatch.setattr(importance, "RESAMPLES", 20)


def of(results: StudyResults) -> Importances:
    return importances(results, list(results.plan.cells))


def test_known_shares_are_within_the_intervals_and_what_matters_is_named(make_search, monkeypatch) -> None:
    """A line in log lr and strength: variances 4 and 1, so 80% and 20% of the whole."""
    monkeypatch.setattr(importance, "RESAMPLES", 25)
    found = of(make_search(lambda t: 2 * np.log10(t["param/lr"]) / 4 + t["param/strength"], 150))
    assert [each.setting for each in found.shares] == ["lr", "strength", "size"]
    lr, strength, size = found.shares
    assert lr.share == pytest.approx(0.8, abs=0.05)
    assert strength.share == pytest.approx(0.2, abs=0.05)
    assert all(each.low <= each.share <= each.high for each in found.shares)
    assert lr.low <= 0.8 <= lr.high
    assert found.mattered == (lr, strength)
    assert size.low <= found.chance


@pytest.mark.usefixtures("few_resamples")
def test_two_settings_that_matter_alike_are_both_named(make_search) -> None:
    found = of(make_search(lambda t: np.log10(t["param/lr"]) / 4 + t["param/strength"], 40))
    assert {each.setting for each in found.mattered} == {"lr", "strength"}


@pytest.mark.usefixtures("few_resamples")
def test_a_choice_can_matter(make_search) -> None:
    found = of(make_search(lambda t: (t["param/size"] == 32) + 0.1 * t["param/strength"], 40))
    assert found.mattered[0].setting == "size"


def named_by_chance(make_search, count: int, seeds: int) -> int:
    return sum(bool(of(make_search(noise(seed), count, seed)).mattered) for seed in range(seeds))


@pytest.mark.usefixtures("few_resamples")
def test_chance_names_no_setting(make_search) -> None:
    assert named_by_chance(make_search, 14, seeds=20) <= 1


@pytest.mark.slow
@pytest.mark.parametrize(("count", "seeds"), [(8, 20), (40, 5)])
def test_chance_names_a_setting_in_at_most_a_twentieth_of_searches(make_search, count: int, seeds: int) -> None:
    assert named_by_chance(make_search, count, seeds) <= seeds // 20


def test_the_estimate_is_the_same_each_time(make_search, monkeypatch) -> None:
    monkeypatch.setattr(importance, "RESAMPLES", 5)
    results = make_search(noise(0), 12)
    assert of(results) == of(results)


def test_many_trials_are_drawn_from(make_search, monkeypatch) -> None:
    monkeypatch.setattr(importance, "MAX_TRIALS", 20)
    monkeypatch.setattr(importance, "RESAMPLES", 3)
    found = of(make_search(noise(0), 50))
    assert (found.trials, found.completed) == (20, 50)
    assert found.sample == "20 of 50 completed trials, drawn at random"


def test_too_few_trials_are_counted(make_search) -> None:
    found = of(make_search(noise(0), 5))
    assert found.shares == ()
    assert importance_sentence(found, "dice") == (
        "Which settings matter is not estimated: 5 completed trials with all searched settings, at least 8 are needed."
    )


def test_equal_values_say_nothing(make_search) -> None:
    assert of(make_search(lambda t: 0 * t["param/lr"], 12)).shares == ()


def test_only_what_mattered_is_named_in_words() -> None:
    shares = (Share("fit.optimizer.lr", 0.62, 0.4, 0.75), Share("augment.strength", 0.2, 0.05, 0.4))
    assert importance_sentence(Importances(shares, 0.12, 36, 36), "dice") == (
        "What mattered in the search: lr (62%, 95% CI 40% to 75%) of the variance of validation Dice within cells, "
        "over 36 completed trials; chance gives up to 12.0%. That others matter is not shown (settings: 1)."
    )
    assert importance_sentence(Importances(shares, 0.45, 36, 36), "dice").startswith(
        "Which settings matter is not shown by 36 completed trials"
    )
