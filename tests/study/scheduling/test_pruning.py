"""Early stopping, on reports written by hand."""

import optuna
import pytest
from fake_study import FakePlan

from study.config.search import ASHA, Hyperband, Median, NoPruner
from study.scheduling.pruning import ProbePruner, PruningDecisions, build_pruner, chained_epoch, next_decision

JOB = FakePlan().trial("plain", 0, {})


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (NoPruner(), optuna.pruners.NopPruner),
        (ASHA(), optuna.pruners.SuccessiveHalvingPruner),
        (Median(), optuna.pruners.MedianPruner),
        (Hyperband(max_epochs=9), optuna.pruners.HyperbandPruner),
    ],
)
def test_every_pruner_is_optunas(settings, expected):
    assert type(build_pruner(settings)) is expected


def test_a_decision_is_that_of_the_last_report_until_it_is_reset():
    study = optuna.create_study(direction="maximize", pruner=optuna.pruners.ThresholdPruner(lower=0.5))
    decisions, trial = PruningDecisions(), study.ask()
    assert decisions.should_prune(0) is False
    decisions.report(0, trial, 1, 0.9)
    assert decisions.should_prune(0) is False
    decisions.report(0, trial, 2, 0.1)
    assert decisions.should_prune(0) is True
    decisions.reset(0)
    assert decisions.should_prune(0) is False


def test_a_pretraining_is_compared_with_ended_ones():
    pruner = ProbePruner(Median(min_epochs=0, startup_trials=1))
    for epoch, value in ((1, 0.5), (2, 0.6)):
        pruner.report(0, epoch, value)
    pruner.finish(0)
    pruner.report(1, 1, 0.4)
    assert pruner.should_prune(1)
    pruner.finish(1)
    pruner.report(2, 1, 0.55)
    assert not pruner.should_prune(2)
    pruner.finish(3)  # never reported


def test_a_retried_trial_starts_without_a_decision_on_its_pretraining():
    pruner = ProbePruner(Median(min_epochs=0, startup_trials=1))
    pruner.report(0, 1, 0.5)
    pruner.finish(0)
    pruner.report(1, 1, 0.4)
    pruner.finish(1)
    assert pruner.should_prune(1)
    pruner.retry(1)
    assert not pruner.should_prune(1)


@pytest.mark.parametrize(
    ("pruner", "epoch", "expected"),
    [
        (NoPruner(), 3, None),
        (ASHA(min_epochs=2, reduction=3), 0, 2),
        (ASHA(min_epochs=2, reduction=3), 2, 6),
        (Hyperband(max_epochs=27, min_epochs=1, reduction=3), 5, 9),
        (Median(min_epochs=4, startup_trials=1), 1, 4),
        (Median(min_epochs=4, startup_trials=1), 4, 5),
    ],
)
def test_a_pruner_decides_next_at_its_next_rung(pruner, epoch, expected):
    assert next_decision(pruner, epoch) == expected


@pytest.mark.parametrize("pruner", [ASHA(2, 3), Hyperband(27, 1, 3), Median(3, 1)], ids=["asha", "hyperband", "median"])
def test_no_pruner_stops_a_trial_before_its_next_decision(pruner):
    """A poor trial after good ones is stopped as early as the pruner can, and never between two decisions."""
    study = optuna.create_study(study_name="cell", direction="maximize", pruner=build_pruner(pruner))
    for number in range(12):
        trial, due = study.ask(), next_decision(pruner, 0)
        for epoch in range(1, 28):
            trial.report(-float(number), epoch)
            if trial.should_prune():
                assert epoch >= due
                break
            if epoch >= due:
                due = next_decision(pruner, epoch)
        study.tell(trial, -float(number))


def test_epochs_of_a_chain_add_up_over_the_jobs_of_its_stage():
    first, second = (FakePlan().pretext({"lr": rate}) for rate in (0.1, 0.2))
    assert chained_epoch([first, second], first, 2) == 2
    assert chained_epoch([first, second], second, 2) == first.epochs + 2
    assert chained_epoch([JOB, first], first, 2) == 2
