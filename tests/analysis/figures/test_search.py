from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from analysis.figures.search import importance, parallel_coordinates, pareto, sensitivity
from analysis.io.load import load
from analysis.stats.importance import importances
from analysis.stats.trials import searched
from analysis.tables.grid import arrange
from study.config.ranges import Choice, LogUniform


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
    plan = replace(results.plan, space={"downstream.fit.optimizer.lr": LogUniform(1e-5, 1e-1)})
    return replace(results, plan=plan, jobs=jobs)


def test_the_important_setting_is_found_despite_differences_between_cells(landscape):
    found = importances(landscape, list(landscape.plan.cells))
    assert [each.setting for each in found.mattered] == ["downstream.fit.optimizer.lr"]
    assert found.shares[0].share > 0.7
    figure = importance(found, "dice")
    assert figure is not None
    (axes,) = figure.axes
    intervals = [line for line in axes.lines if len(line.get_xdata()) == 2 and line.get_ydata()[0] == 1]
    assert list(intervals[0].get_xdata()) == [found.shares[0].low, found.shares[0].high]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["strength", "lr"]


def test_too_few_completed_trials_say_nothing(make_study):
    results = load(make_study(methods=("random",), fractions=("1",), subjects=2, replicates=1))
    found = importances(results, list(results.plan.cells))
    assert (found.shares, found.completed) == ((), 3)
    assert importance(found, "dice") is None


def test_the_share_of_a_single_setting_says_nothing(landscape):
    alone = replace(landscape, jobs=landscape.jobs.drop(columns="param/downstream.augment.strength"))
    assert importances(alone, list(alone.plan.cells)).shares == ()


def test_a_panel_a_setting_and_hollow_where_it_was_stopped(landscape):
    figure = sensitivity(landscape, arrange(landscape.plan), "0.25")
    assert figure is not None
    assert figure.get_suptitle() == "Trials at 25% labels"
    scales = {axes.get_title(loc="left"): axes.get_xscale() for axes in figure.axes}
    assert scales == {"strength": "linear", "lr": "log"}
    faces = {line.get_markerfacecolor() for line in figure.axes[0].lines}
    assert "none" in faces
    points = sum(len(line.get_xdata()) for line in figure.axes[0].lines)
    assert points == len(landscape.of_kind("trial").query("label_fraction == '0.25'"))
    low, high = figure.axes[1].get_xlim()
    assert low < 1e-5
    assert high > 1e-1


def test_choices_have_their_names_on_the_axis(landscape):
    jobs = landscape.jobs.assign(
        **{"param/downstream.fit.batch_size": [8, 16, 32] * (len(landscape.jobs) // 3) + [8] * 2}
    )
    assert len(jobs) % 3 == 2
    space = {**landscape.plan.space, "downstream.fit.batch_size": Choice((32, 16, 8))}
    results = replace(landscape, jobs=jobs, plan=replace(landscape.plan, space=space))
    figure = sensitivity(results, arrange(results.plan), "1")
    assert figure is not None
    (axes,) = (axes for axes in figure.axes if axes.get_title(loc="left") == "batch_size")
    assert [label.get_text() for label in axes.get_xticklabels()] == ["32", "16", "8"]
    assert set(np.concatenate([line.get_xdata() for line in axes.lines])) == {0, 1, 2}


def test_a_line_a_completed_trial_of_one_column_ends_at_its_score(landscape):
    figure = parallel_coordinates(landscape, arrange(landscape.plan), "0.05")
    assert figure is not None
    lines = figure.axes[0].collections[0].get_segments()
    trials = landscape.of_kind("trial").query("status == 'completed' and label_fraction == '0.05'")
    done = trials["val/dice"]
    assert len(lines) == len(done)
    ends = sorted(line[-1, 1] for line in lines)
    np.testing.assert_allclose(ends, sorted((done - done.min()) / (done.max() - done.min())))
    rates = sorted(line[1, 1] for line in lines)
    np.testing.assert_allclose(rates, sorted(np.log10(trials["param/downstream.fit.optimizer.lr"]) / 4 + 5 / 4))


def test_of_many_trials_some_are_drawn_with_the_best(landscape, monkeypatch):
    monkeypatch.setattr("analysis.figures.search.MOST_LINES", 5)
    figure = parallel_coordinates(landscape, arrange(landscape.plan), "0.05")
    assert figure is not None
    (axes, _) = figure.axes
    lines = axes.collections[0].get_segments()
    assert len(lines) == 5
    assert max(line[-1, 1] for line in lines) == 1
    assert axes.get_title(loc="left") == "Completed trials at 5% labels: 5 of 9, at random with the best"


def test_the_front_of_two_objectives_is_joined(landscape):
    figure = pareto(landscape, arrange(landscape.plan), {"val/dice": -1, "seconds": 1})
    assert figure is not None
    assert pareto(landscape, arrange(landscape.plan), {"val/dice": -1}) is None
    grid, done = arrange(landscape.plan), landscape.of_kind("trial").query("status == 'completed'")
    for axes, column in zip(figure.axes, grid.columns, strict=True):
        joined = [line for line in axes.lines if line.get_linestyle() != "None"]
        best = done[done["cell"].isin([grid.cells[row, column] for row in grid.rows])]["val/dice"].max()
        assert max(line.get_xdata().max() for line in joined) == pytest.approx(best)


def test_settings_that_few_trials_have_or_that_do_not_vary_were_not_searched():
    trials = pd.DataFrame({"param/a": [1, 2, 3, 4], "param/b": [1, 1, 1, 1], "param/c": [1, 2, None, None]})
    assert searched(trials) == ["a", "c"]
    assert searched(trials.assign(**{"param/c": [1, None, None, None]})) == ["a"]
