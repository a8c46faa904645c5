import re
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from analysis.charts.chart import Chart, Panel, Point, Series
from analysis.charts.drawing import BOTTOM, LEFT, MARKERS, RIGHT, TOP, Drawing, Scale
from analysis.charts.html import chart_html
from analysis.charts.learning import MOST_POINTS, curve_series, learning_chart
from analysis.charts.search import history_chart, slice_chart
from analysis.figures.style import LineStyle, line_styles
from analysis.io.load import load
from analysis.tables.grid import arrange
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
    chart = slice_chart(results, arrange(results.plan))
    assert chart is not None
    assert [panel.title for panel in chart.panels] == ["strength", "lr"]
    assert chart.panels[1].x_label == "downstream.fit.optimizer.lr"
    assert {point.x for point in chart.panels[0].series[0].points} == {0.0, 0.25, 0.5, 0.75}


def test_a_study_without_trials_has_no_search_charts(make_study: Callable[..., StudyFolder]) -> None:
    results = load(make_study(trials=0, subjects=2))
    grid = arrange(results.plan)
    assert history_chart(results, grid) is None
    assert slice_chart(results, grid) is None


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
