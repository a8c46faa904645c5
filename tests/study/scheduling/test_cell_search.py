"""The search against plain Optuna, and its independence of interruptions."""

from collections.abc import Iterable, Sequence

import numpy as np
import optuna
import pytest

from study.config.ranges import Choice, Int, LogUniform, Uniform
from study.config.search import ASHA, Hyperband, Median, SearchSpec
from study.scheduling import cell_search
from study.scheduling.cell_search import CellSearch, Proposal

SPACE = {"lr": LogUniform(1e-5, 1e-1), "strength": Uniform(0, 2), "depth": Int(1, 4), "norm": Choice(("batch", "none"))}


def value(proposal: Proposal) -> float:
    return -abs(proposal.params["strength"] - 1.2) - 0.1 * proposal.params["depth"]


def asked(search: CellSearch, trials: int) -> list[Proposal]:
    proposals = []
    for index in range(trials):
        proposals.append(search.ask())
        search.tell(index, [value(proposals[-1])], stopped=False)
    return proposals


CONDITIONAL = {
    "optimizer": Choice(("adam", "sgd")),
    "momentum": Uniform(0, 1, when={"optimizer": "sgd"}),
    "nesterov": Choice((True, False), when={"optimizer": "sgd"}),
    "lr": LogUniform(1e-4, 1e-1),
}


def conditional_value(params: dict[str, object]) -> float:
    return -abs(params["momentum"] - 0.8) if params["optimizer"] == "sgd" else -0.5


@pytest.mark.parametrize("sampler", ["tpe", "gp", "random", "quasirandom", "nsga2"])
@pytest.mark.parametrize("known", [0, 9])
def test_a_resumed_conditional_search_proposes_the_same_trials(sampler, known):
    spec = SearchSpec(CONDITIONAL, sampler=sampler, startup_trials=4)
    whole, whole_search = [], CellSearch(spec, seed=5)
    for index in range(16):
        whole.append(whole_search.ask())
        whole_search.tell(index, [conditional_value(whole[-1].params)], stopped=False)
    resumed = CellSearch(spec, seed=5)
    for index in range(16):
        if index < known:
            resumed.replay(index, whole[index])
        else:
            assert resumed.ask() == whole[index]
        resumed.tell(index, [conditional_value(whole[index].params)], stopped=False)
    for proposal in whole:
        assert set(proposal.params) - {"momentum", "nesterov"} == {"optimizer", "lr"}
        assert ("momentum" in proposal.params) == ("nesterov" in proposal.params) == (
            proposal.params["optimizer"] == "sgd"
        )  # fmt: skip


def test_a_grid_with_conditions_has_each_combination_once():
    space = {path: choice for path, choice in CONDITIONAL.items() if path != "lr"} | {
        "momentum": Choice((0.0, 0.9), when={"optimizer": "sgd"})
    }
    search = CellSearch(SearchSpec(space, sampler="grid"), seed=0)
    points = {tuple(sorted(search.ask().params.items())) for _ in range(5)}
    assert len(points) == 5  # adam alone, and sgd with two times two


def test_the_genetic_sampler_comes_near_the_front_of_two_objectives():
    """|p|^2 against |p - (2, 0, 0, 0)|^2 have their front where the first number is in [0, 2] and the others are 0."""
    space = {name: Uniform(-10, 10) for name in "abcd"}
    spec = SearchSpec(space, objectives=("val/dice", "seconds"), sampler="nsga2", startup_trials=10)
    search, distances = CellSearch(spec, seed=2), []
    for index in range(150):
        params = search.ask().params
        place = np.array([params[name] for name in "abcd"])
        search.tell(index, [-float(place @ place), float(((place - [2, 0, 0, 0]) ** 2).sum())], stopped=False)
        distances.append(float(np.linalg.norm(place - np.array([np.clip(place[0], 0, 2), 0, 0, 0]))))
    assert np.mean(distances[-30:]) < np.mean(distances[:30]) / 2


def test_proposals_lie_in_the_space_and_learn():
    proposals = asked(CellSearch(SearchSpec(SPACE, startup_trials=10), seed=1), 40)
    for proposal in proposals:
        assert 1e-5 <= proposal.params["lr"] <= 1e-1
        assert 0 <= proposal.params["strength"] <= 2
        assert proposal.params["depth"] in (1, 2, 3, 4)
        assert proposal.params["norm"] in ("batch", "none")
    first, last = proposals[:10], proposals[-10:]
    assert sum(map(value, last)) > sum(map(value, first))


NUMBERS = {path: choice for path, choice in SPACE.items() if not isinstance(choice, Choice)}
FINITE = {path: choice for path, choice in SPACE.items() if isinstance(choice, Choice | Int)} | {
    "strength": Choice((0.5, 1.2))
}


@pytest.mark.parametrize(
    ("sampler", "space"),
    [
        ("tpe", SPACE),
        ("random", SPACE),
        ("gp", SPACE),
        ("cmaes", NUMBERS),
        ("quasirandom", SPACE),
        ("grid", FINITE),
    ],
)
@pytest.mark.parametrize("known", [0, 1, 7])
def test_a_resumed_search_proposes_the_same_trials(sampler, space, known):
    spec = SearchSpec(space, sampler=sampler, startup_trials=4)
    whole = asked(CellSearch(spec, seed=3), 12)
    resumed = CellSearch(spec, seed=3)
    for index, proposal in enumerate(whole[:known]):
        resumed.replay(index, proposal)
        resumed.tell(index, [value(proposal)], stopped=False)
    rest = []
    for index in range(known, 12):
        rest.append(resumed.ask())
        resumed.tell(index, [value(rest[-1])], stopped=False)
    assert [p.params for p in rest] == [p.params for p in whole[known:]]


def test_a_grid_has_every_combination_once():
    found = [tuple(sorted(p.params.items())) for p in asked(CellSearch(SearchSpec(FINITE, sampler="grid"), 2), 16)]
    assert len(set(found)) == 4 * 2 * 2


def test_quasirandom_points_are_sobols_and_spread():
    spec = SearchSpec({"a": Uniform(0, 1), "b": LogUniform(1e-4, 1e-2), "c": Int(0, 3)}, sampler="quasirandom")
    search = CellSearch(spec, 5)
    points = [search.ask().params for _ in range(64)]
    quarters = np.histogram2d([p["a"] for p in points], [np.log10(p["b"]) for p in points], bins=4, range=None)[0]
    assert quarters.min() >= 3  # 4 each if the edges of the bins were those of the space
    assert np.bincount([p["c"] for p in points]).tolist() == [16] * 4
    assert all(1e-4 <= p["b"] <= 1e-2 for p in points)


@pytest.mark.parametrize("sampler", ["gp", "cmaes"])
def test_samplers_that_learn_end_near_the_best(sampler):
    proposals = asked(CellSearch(SearchSpec(NUMBERS, sampler=sampler, startup_trials=8), seed=1), 40)
    assert sum(map(value, proposals[-10:])) > sum(map(value, proposals[:10]))


def test_impossible_searches_are_refused():
    with pytest.raises(ValueError, match="sampler is 'grid', expected a choice or whole numbers for lr, strength"):
        SearchSpec(SPACE, sampler="grid")
    with pytest.raises(ValueError, match="CMA-ES does not support categorical parameters"):
        SearchSpec(SPACE, sampler="cmaes")
    with pytest.raises(ValueError, match="expected 1 <= min_epochs <= max_epochs"):
        Hyperband(max_epochs=3, min_epochs=4)


def equal_stops(search: CellSearch, study: optuna.Study, curves: Iterable[Sequence[float]]) -> int:
    """Check after every epoch that the search prunes as Optuna's study does, and return the number of pruned trials."""
    stops = 0
    for index, curve in enumerate(curves):
        trial, expected = study.ask(), False
        search.ask()
        for epoch, metric in enumerate(curve, 1):
            trial.report(metric, epoch)
            expected = trial.should_prune()
            search.report(index, epoch, metric)
            assert search.should_prune(index) == expected
            if expected:
                stops += 1
                break
        study.tell(trial, None if expected else curve[-1], state=optuna.trial.TrialState.PRUNED if expected else None)
        search.tell(index, None if expected else [curve[-1]], stopped=expected)
    return stops


@pytest.mark.parametrize(
    ("pruner", "theirs"),
    [
        (Median(min_epochs=2, startup_trials=2), optuna.pruners.MedianPruner(2, 2)),
        (Hyperband(max_epochs=9), optuna.pruners.HyperbandPruner(1, 9, 3)),
    ],
    ids=["median", "hyperband"],
)
def test_other_pruners_are_optunas(pruner, theirs):
    study = optuna.create_study(study_name="cell", direction="maximize", pruner=theirs)
    rng = np.random.default_rng(0)
    curves = [rng.random() + 0.05 * rng.random(9) for _ in range(20)]
    stops = equal_stops(CellSearch(SearchSpec(SPACE, pruner=pruner), seed=0), study, curves)
    assert 0 < stops < 20


def test_pruning_is_optunas_successive_halving():
    curves = [
        [0.5, 0.6, 0.7, 0.8],
        [0.4, 0.5, 0.9, 0.9],
        [0.6, 0.6, 0.6, 0.6],
        [0.1, 0.1, 0.1, 0.1],
        [0.7, 0.8, 0.9, 1.0],
    ]
    pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=2)
    study = optuna.create_study(direction="maximize", pruner=pruner)
    search = CellSearch(SearchSpec(SPACE, pruner=ASHA(min_epochs=1, reduction=2)), seed=0)
    stops = equal_stops(search, study, curves)
    assert 0 < stops < len(curves)


@pytest.mark.parametrize("sampler", ["tpe", "random"])
@pytest.mark.parametrize("known", [25, 40, 61])
def test_a_search_that_forgets_is_resumed_as_it_was(monkeypatch, sampler, known):
    monkeypatch.setattr(cell_search, "MAX_HISTORY", 20)
    spec = SearchSpec(SPACE, trials=70, sampler=sampler, pruner=ASHA(min_epochs=1, reduction=2))

    def run_trial(search: CellSearch, index: int, proposal: Proposal) -> bool:
        for epoch in (1, 2, 3):
            search.report(index, epoch, value(proposal) * epoch)
            if search.should_prune(index):
                break
        search.tell(index, [value(proposal) * epoch], stopped=search.should_prune(index))
        assert len(search._study.get_trials(deepcopy=False)) <= 20
        return search.should_prune(index)

    whole, proposals, stops = CellSearch(spec, seed=3), [], []
    for index in range(70):
        proposals.append(whole.ask())
        stops.append(run_trial(whole, index, proposals[-1]))
    assert 0 < sum(stops) < 70
    resumed = CellSearch(spec, seed=3)
    for index in range(known):
        resumed.replay(index, proposals[index])
        assert run_trial(resumed, index, proposals[index]) == stops[index]
    for index in range(known, 70):
        assert resumed.ask() == proposals[index]
        assert run_trial(resumed, index, proposals[index]) == stops[index]


def test_the_best_trials_are_not_forgotten(monkeypatch):
    monkeypatch.setattr(cell_search, "MAX_HISTORY", 20)
    search = CellSearch(SearchSpec(SPACE, trials=99, sampler="random"), seed=0)
    for index in range(60):
        search.ask()
        search.tell(index, [1.0 if index == 2 else 0.001 * index], stopped=False)
    assert 1.0 in [trial.values[0] for trial in search._study.get_trials(deepcopy=False)]


def test_a_failed_trial_that_was_forgotten_runs_again(monkeypatch):
    monkeypatch.setattr(cell_search, "MAX_HISTORY", 20)
    search, proposals = CellSearch(SearchSpec(SPACE, trials=99, sampler="random"), seed=0), []
    for index in range(60):
        proposals.append(search.ask())
        search.tell(index, None if index == 2 else [0.001 * index], stopped=False)
    search.retry(2, proposals[2])
    search.report(2, 1, 0.5)
    search.tell(2, [0.5], stopped=False)
