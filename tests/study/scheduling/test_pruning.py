"""Early stopping, on reports written by hand."""

import optuna
import pytest
from fake_study import FakePlan

from study.config.search import ASHA, Hyperband, Median, NoPruner
from study.planning.jobs import Outcome
from study.scheduling.objectives import OBJECTIVE, PROBE
from study.scheduling.pruning import ProbePruner, PruningDecisions, build_pruner, chained_epoch, early_stop
from study.scheduling.state import TrialHistory

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


def test_a_pruned_trial_ends_with_its_last_report():
    trial = TrialHistory({}, {}, reports={1: 0.3, 2: 0.2})
    expected = Outcome("stopped", {OBJECTIVE: 0.2}, 2, 0.0)
    assert early_stop(JOB, trial, prune_trial=True, prune_pretext=False) == expected
    assert early_stop(JOB, trial, prune_trial=False, prune_pretext=False) is None


def test_a_trial_with_its_last_epoch_is_not_stopped():
    trial = TrialHistory({}, {}, reports={JOB.epochs: 0.3})
    assert early_stop(JOB, trial, prune_trial=True, prune_pretext=False) is None


def test_a_trial_whose_pretraining_was_pruned_ends_with_the_probe():
    trial = TrialHistory({}, {}, probe_reports={2: 0.4, 4: 0.1})
    reason = "its pretraining was pruned at epoch 4"
    expected = Outcome("stopped", {PROBE: 0.1}, 0, 0.0, reason)
    assert early_stop(JOB, trial, prune_trial=False, prune_pretext=True) == expected


def test_epochs_of_a_chain_add_up_over_the_jobs_of_its_stage():
    first, second = (FakePlan().pretext({"lr": rate}) for rate in (0.1, 0.2))
    assert chained_epoch([first, second], first, 2) == 2
    assert chained_epoch([first, second], second, 2) == first.epochs + 2
    assert chained_epoch([JOB, first], first, 2) == 2
