from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from analysis.figures.search import importance, parallel_coordinates, pareto, sensitivity
from analysis.io.load import load
from analysis.stats.importance import importances, searched
from analysis.tables.grid import arrange


@pytest.fixture
def landscape(make_study):
    """Trials whose score falls with the distance of log10 of the learning rate from -3, and with nothing else."""
    results = load(make_study(subjects=2, replicates=1))
    random = np.random.default_rng(0)
    trials = results.jobs["kind"] == "trial"
    count = int(trials.sum())
    rate, strength = 10 ** random.uniform(-5, -1, count), random.uniform(0, 1, count)
    jobs = results.jobs.copy()
    jobs.loc[trials, "param/downstream.fit.optimizer.lr"] = rate
    jobs.loc[trials, "param/downstream.augment.strength"] = strength
    jobs.loc[trials, "val/dice"] = 0.8 - 0.05 * (np.log10(rate) + 3) ** 2 + 0.1 * (jobs.loc[trials, "method"] == "byol")
    plan = replace(results.plan, logarithmic=frozenset({"downstream.fit.optimizer.lr"}))
    return replace(results, plan=plan, jobs=jobs)


def test_the_important_setting_is_found_despite_differences_between_cells(landscape):
    shares = importances(landscape, list(landscape.plan.cells))
    assert next(iter(shares)) == "downstream.fit.optimizer.lr"
    assert shares["downstream.fit.optimizer.lr"] > 0.8
    assert sum(shares.values()) == pytest.approx(1)


def test_too_few_completed_trials_say_nothing(make_study):
    results = load(make_study(methods=("random",), fractions=("1",), subjects=2, replicates=1))
    assert importances(results, list(results.plan.cells)) == {}
    assert importance(results, arrange(results.plan)) is None


def test_the_share_of_a_single_setting_says_nothing(landscape):
    alone = replace(landscape, jobs=landscape.jobs.drop(columns="param/downstream.augment.strength"))
    assert importances(alone, list(alone.plan.cells)) == {}


def test_a_panel_a_setting_and_hollow_where_it_was_stopped(landscape):
    figure = sensitivity(landscape, arrange(landscape.plan))
    assert figure is not None
    assert {axes.get_title(loc="left") for axes in figure.axes} == {"strength", "lr"}
    assert {axes.get_title(loc="left"): axes.get_xscale() for axes in figure.axes} == {
        "strength": "linear",
        "lr": "log",
    }
    faces = {line.get_markerfacecolor() for line in figure.axes[0].lines}
    assert "none" in faces
    points = sum(len(line.get_xdata()) for line in figure.axes[0].lines)
    assert points == len(landscape.of_kind("trial"))


def test_a_line_a_completed_trial_ends_at_its_score(landscape):
    figure = parallel_coordinates(landscape, arrange(landscape.plan))
    assert figure is not None
    lines = [line for line in figure.axes[0].lines if len(line.get_xdata()) == 3]
    done = landscape.of_kind("trial").query("status == 'completed'")["val/dice"]
    assert len(lines) == len(done)
    ends = sorted(line.get_ydata()[-1] for line in lines)
    np.testing.assert_allclose(ends, sorted((done - done.min()) / (done.max() - done.min())))


def test_the_front_of_two_objectives_is_joined(landscape):
    figure = pareto(landscape, arrange(landscape.plan), {"val/dice": -1, "seconds": 1})
    assert figure is not None
    assert pareto(landscape, arrange(landscape.plan), {"val/dice": -1}) is None
    joined = [line for line in figure.axes[0].lines if line.get_linestyle() != "None"]
    best = landscape.of_kind("trial").query("status == 'completed'")["val/dice"].max()
    assert max(line.get_xdata().max() for line in joined) == pytest.approx(best)


def test_settings_that_few_trials_have_or_that_do_not_vary_were_not_searched():
    trials = pd.DataFrame({"param/a": [1, 2, 3, 4], "param/b": [1, 1, 1, 1], "param/c": [1, 2, None, None]})
    assert searched(trials) == ["a", "c"]
    assert searched(trials.assign(**{"param/c": [1, None, None, None]})) == ["a"]
