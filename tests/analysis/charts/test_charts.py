import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from analysis.charts.chart import Chart, Panel, Point, Series
from analysis.charts.drawing import BOTTOM, LEFT, MARKERS, RIGHT, TOP, Drawing, Scale
from analysis.charts.html import chart_html
from analysis.charts.learning import MOST_POINTS, curve_series, learning_chart
from analysis.charts.search import history_chart, importance_chart, slice_chart
from analysis.figures.style import LineStyle, line_styles
from analysis.io.load import load
from analysis.stats.importance import Importances, Share
from analysis.tables.grid import arrange
from study.config.ranges import Choice, LogUniform
from study.planning.jobs import Outcome
from study.storage.events import JobFinished
from study.storage.ledger import Ledger
from study.storage.workspace import StudyFolder


def test_every_trial_is_a_point_and_stopped_ones_are_hollow(finished_study: StudyFolder) -> None:
    results = load(finished_study)
    chart = history_chart(results, arrange(results.plan))
    assert chart is not None
    assert [panel.title for panel in chart.panels] == [
        "Search at 5% labels",
        "Search at 25% labels",
        "Search at 100% labels",
    ]
    assert [series.name for series in chart.legend] == ["random", "simclr", "byol"]
    points = [point for panel in chart.panels for series in panel.series for point in series.points]
    assert len(points) == 36
    assert {point.x for point in points if point.hollow} == {2.0}
    assert points[1].text == "random, trial 1 (completed): val/dice 0.8100; strength 0.25; lr 0.002"


def test_trials_without_a_value_are_counted(make_study: Callable[..., StudyFolder]) -> None:
    folder = make_study(subjects=2)
    ledger = Ledger(folder.ledger, lambda: 0.0)
    outcome = Outcome("stopped", {}, 3, 1.0)
    ledger.append(JobFinished("t", "trial", "method=byol,label_fraction=1", 4, {}, "d", outcome))
    ledger.close()
    results = load(folder)
    chart = history_chart(results, arrange(results.plan))
    assert chart is not None
    assert chart.caption.endswith("Trials without a validation metric, not shown: 1.")


def test_every_searched_setting_has_a_slice(finished_study: StudyFolder) -> None:
    results = load(finished_study)
    chart = slice_chart(results, arrange(results.plan), "0.25")
    assert chart is not None
    assert chart.caption.startswith("Searched settings at 25% labels:")
    assert [panel.title for panel in chart.panels] == ["strength", "lr"]
    assert chart.panels[1].x_label == "downstream.fit.optimizer.lr"
    points = chart.panels[0].series[0].points
    assert [point.x for point in points] == [0.0, 0.25, 0.5, 0.75]
    assert points[1].text == "random, trial 1 (completed): val/dice 0.8100; strength 0.25"


def test_a_study_without_trials_has_no_search_charts(make_study: Callable[..., StudyFolder]) -> None:
    results = load(make_study(trials=0, subjects=2))
    grid = arrange(results.plan)
    assert history_chart(results, grid) is None
    assert slice_chart(results, grid, "1") is None


def test_choices_and_logarithmic_settings_have_their_axes(finished_study: StudyFolder) -> None:
    results = load(finished_study)
    space = {
        "downstream.augment.strength": Choice((0.75, 0.5, 0.25, 0.0)),
        "downstream.fit.optimizer.lr": LogUniform(1e-5, 1e-1),
    }
    results = replace(results, plan=replace(results.plan, space=space))
    chart = slice_chart(results, arrange(results.plan), "1")
    assert chart is not None
    strength, rate = chart.panels
    assert strength.levels == ("0.75", "0.5", "0.25", "0.0")
    assert [point.x for point in strength.series[0].points] == [3, 2, 1, 0]
    assert rate.logarithmic
    drawing = Drawing.of(rate)
    assert LEFT < drawing.x.place(1e-5) < drawing.x.place(1e-1) < RIGHT


def test_a_large_search_is_thinned_and_keeps_the_best(
    finished_study: StudyFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("analysis.charts.search.MOST_POINTS", 20)
    results = load(finished_study)
    chart = slice_chart(results, arrange(results.plan), "1")
    assert chart is not None
    assert chart.caption.endswith("Shown: 10 of 12 trials, drawn at random, with the best of each cell.")
    points = [point for series in chart.panels[0].series for point in series.points]
    assert len(points) == 10
    assert sum("val/dice 0.8100" in point.text for point in points) == 3


def test_importance_has_an_interval_for_each_setting_and_the_level_of_chance() -> None:
    shares = (Share("fit.optimizer.lr", 0.6, 0.4, 0.7), Share("augment.strength", 0.2, 0.05, 0.4))
    chart = importance_chart(Importances(shares, 0.2, 40, 40), "dice")
    assert chart is not None
    assert [series.name for series in chart.panels[0].series] == ["above chance", "not above chance"]
    text = chart_html(chart)
    drawing = Drawing.of(chart.panels[0])
    assert f'd="M{drawing.x.place(0.4)},{drawing.y.place(0)}H{drawing.x.place(0.7)}"' in text
    assert f'class="reference" d="M{drawing.x.place(0.2)},' in text
    assert "<title>lr: 60% (95% CI 40% to 70%)</title>" in text
    assert [tick.text for tick in drawing.y_ticks] == ["lr", "strength"]
    assert importance_chart(Importances((), 0.0, 3, 3), "dice") is None


def test_a_chart_grows_with_its_rows() -> None:
    rows = tuple(f"setting number {number}" for number in range(20))
    points = tuple(Point(0.5, number, "") for number in range(20))
    drawing = Drawing.of(Panel("", "", "", (Series("", "", "o", points),), rows=rows))
    places = [tick.place for tick in drawing.y_ticks]
    assert min(np.diff(places)) > 20
    assert places[-1] < drawing.area.bottom < drawing.height
    assert drawing.area.left > LEFT


def test_learning_curves_have_the_mean_and_each_replicate(finished_study: StudyFolder) -> None:
    results = load(finished_study)
    chart = learning_chart(results, arrange(results.plan))
    assert chart is not None
    titles = [panel.title for panel in chart.panels]
    assert titles[:3] == ["Pretext loss: simclr", "Pretext loss: byol", "Replicates at 5% labels"]
    series = chart.panels[2].series[0]
    assert len(series.points) <= MOST_POINTS
    assert len(series.thin) == 3
    first = series.points[0]
    assert first.y == pytest.approx(sum(line[0][1] for line in series.thin) / 3)
    assert first.text.startswith(f"random, epoch 1: {first.y:.3f} (mean of 3, ")


def test_a_long_curve_keeps_its_ends() -> None:
    curve = pd.Series(np.linspace(1, 0, 200), index=range(1, 201))
    series = curve_series("simclr", [curve], LineStyle("#000000", "#ffffff", "o", "-"))
    assert series is not None
    assert len(series.points) == MOST_POINTS
    assert (series.points[0].x, series.points[-1].x) == (1, 200)
    assert series.thin == ()


def test_a_chart_is_one_svg_a_panel_with_every_value_in_words() -> None:
    series = Series(
        "simclr", "#0072B2", "s", (Point(1, 0.5, "first"), Point(2, 0.7, "second", hollow=True)), joined=True
    )
    text = chart_html(Chart("What it shows.", (Panel("Left", "Epoch", "Dice", (series,)),)))
    assert len(re.findall("<svg ", text)) == 2  # one of them in the legend's button
    assert "<title>first</title>" in text
    assert 'class="point hollow"' in text
    assert "<figcaption>What it shows.</figcaption>" in text


def test_marks_lie_within_the_axes() -> None:
    points = tuple(Point(10.0**-n, n, "") for n in range(5))
    drawing = Drawing.of(Panel("", "", "", (Series("", "", "o", points),), logarithmic=True))
    for marker in drawing.markers(drawing.panel.series[0]):
        assert LEFT < marker.x < RIGHT
        assert TOP < marker.y < BOTTOM
    assert [tick.text for tick in drawing.x_ticks] == ["0.0001", "0.001", "0.01", "0.1", "1"]


def test_a_categorical_axis_has_a_tick_for_each_level() -> None:
    drawing = Drawing.of(Panel("", "", "", (Series("", "", "o", (Point(1, 0.5, ""),)),), levels=("adam", "sgd")))
    assert [tick.text for tick in drawing.x_ticks] == ["adam", "sgd"]


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (0.8, 0.81), (-3.0, 1200.0), (0.5, 0.5), (0.0, 0.0)])
def test_ticks_are_few_round_and_within_the_scale(low: float, high: float) -> None:
    ticks = Scale.around([low, high], 0, 100).ticks()
    assert 2 <= len(ticks) <= 6
    assert all(0 <= tick.place <= 100 for tick in ticks)
    assert len({tick.text for tick in ticks}) == len(ticks)


def test_every_marker_of_the_figures_has_a_shape() -> None:
    assert {style.marker for style in line_styles(map(str, range(20))).values()} <= set(MARKERS)
