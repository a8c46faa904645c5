"""The search against plain Optuna, and its independence of interruptions."""

import optuna
import pytest

from study.declaration.spec import ASHA, Choice, Int, LogUniform, SearchSpec, Uniform
from study.sampler import CellSearch, Proposal

SPACE = {"lr": LogUniform(1e-5, 1e-1), "strength": Uniform(0, 2), "depth": Int(1, 4), "norm": Choice(("batch", "none"))}


def value(proposal: Proposal) -> float:
    return -abs(proposal.params["strength"] - 1.2) - 0.1 * proposal.params["depth"]


def asked(search: CellSearch, trials: int) -> list[Proposal]:
    proposals = []
    for index in range(trials):
        proposals.append(search.ask())
        search.tell(index, value(proposals[-1]), stopped=False)
    return proposals


def test_proposals_lie_in_the_space_and_learn():
    proposals = asked(CellSearch(SearchSpec(SPACE, startup_trials=10), seed=1), 40)
    for proposal in proposals:
        assert 1e-5 <= proposal.params["lr"] <= 1e-1
        assert 0 <= proposal.params["strength"] <= 2
        assert proposal.params["depth"] in (1, 2, 3, 4)
        assert proposal.params["norm"] in ("batch", "none")
    first, last = proposals[:10], proposals[-10:]
    assert sum(map(value, last)) > sum(map(value, first))


@pytest.mark.parametrize("sampler", ["tpe", "random"])
@pytest.mark.parametrize("known", [0, 1, 7])
def test_a_search_taken_up_again_proposes_what_it_would_have(sampler, known):
    spec = SearchSpec(SPACE, sampler=sampler, startup_trials=4)
    whole = asked(CellSearch(spec, seed=3), 12)
    resumed = CellSearch(spec, seed=3)
    for index, proposal in enumerate(whole[:known]):
        resumed.restore(proposal)
        resumed.tell(index, value(proposal), stopped=False)
    rest = []
    for index in range(known, 12):
        rest.append(resumed.ask())
        resumed.tell(index, value(rest[-1]), stopped=False)
    assert [p.params for p in rest] == [p.params for p in whole[known:]]


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
    stops = 0
    for index, curve in enumerate(curves):
        trial = study.ask()
        search.ask()
        for epoch, metric in enumerate(curve, 1):
            trial.report(metric, epoch)
            expected = trial.should_prune()
            assert search.report(index, epoch, metric) == expected
            if expected:
                stops += 1
                break
        study.tell(trial, None if expected else curve[-1], state=optuna.trial.TrialState.PRUNED if expected else None)
        search.tell(index, None if expected else curve[-1], stopped=expected)
    assert 0 < stops < len(curves)
