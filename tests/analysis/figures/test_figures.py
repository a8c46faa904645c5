from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fake_results import FakeStudy
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from analysis.figures.curves import learning_curves
from analysis.figures.differences import differences
from analysis.figures.labels import MANY, dice_vs_labels
from analysis.figures.paired import paired_subjects
from analysis.figures.style import line_styles
from analysis.io.load import load
from analysis.stats.comparisons import compare
from analysis.tables.grid import arrange
from study.storage.workspace import StudyFolder


def draw(function: Callable[..., Figure], folder: StudyFolder) -> Figure:
    results = load(folder)
    figure = function(results, arrange(results.plan))
    figure.draw_without_rendering()
    return figure


def test_every_replicate_is_a_point_and_fractions_are_on_a_log_axis(finished_study: StudyFolder) -> None:
    axes = draw(dice_vs_labels, finished_study).axes[0]
    points = [line for line in axes.lines if line.get_linestyle() == "None" and line.get_alpha() is not None]
    assert sum(len(line.get_xdata()) for line in points) == 27
    assert [label.get_text() for label in axes.get_xticklabels()] == ["5%", "25%", "100%"]
    np.testing.assert_allclose(np.diff(axes.get_xticks()), [np.log(5), np.log(4)])


def test_legend_is_outside_the_axes(finished_study: StudyFolder) -> None:
    figure = draw(dice_vs_labels, finished_study)
    legend = figure.legends[0].get_window_extent()
    lowest = figure.axes[0].get_tightbbox().y0
    assert legend.y1 <= lowest + 1


def test_learning_curves_have_a_panel_a_pretext_and_a_column(finished_study: StudyFolder) -> None:
    titles = [axes.get_title(loc="left") for axes in draw(learning_curves, finished_study).axes]
    assert titles == ["Pretext loss: simclr", "Pretext loss: byol", "5% labels", "25% labels", "100% labels"]


@pytest.mark.parametrize("methods", [2, 3, 5])
def test_no_text_of_paired_subjects_lies_on_another_or_is_cut(
    make_study: Callable[..., StudyFolder], methods: int
) -> None:
    names = ("random", "simclr", "byol", "moco", "vicreg")[:methods]
    figure = draw(paired_subjects, make_study(methods=names, fractions=("1",), replicates=2, subjects=4))
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert figure._suptitle is not None
    lowest = figure._suptitle.get_window_extent().y0
    assert all(axes._left_title.get_window_extent().y1 <= lowest for axes in shown)
    assert all(axes.xaxis.label.get_window_extent().y0 >= 0 for axes in shown)


@pytest.mark.parametrize("function", [dice_vs_labels, learning_curves])
@pytest.mark.parametrize(
    "settings",
    [{"finished": 0}, {"finished": 2}, {"subjects": 1, "replicates": 1}, {"methods": ("random",), "fractions": ("1",)}],
)
def test_little_can_be_drawn(
    make_study: Callable[..., StudyFolder], function: Callable[..., Figure], settings: dict[str, int]
) -> None:
    figure = draw(function, make_study(**{"subjects": 2, **settings}))
    assert figure.axes


def test_rows_differ_in_grey_too() -> None:
    style = list(line_styles(["random", "simclr", "byol", "imagenet", "denoise"], ["random"]).values())
    assert len({line_style.marker for line_style in style}) == 5
    assert len({str(line_style.dash) for line_style in style}) == 5
    assert len({to_rgb(line_style.colour) for line_style in style}) == 5


def test_the_reference_is_grey_wherever_it_stands() -> None:
    red, green, blue = to_rgb(line_styles(["simclr", "random"], ["random"])["random"].colour)
    assert red == green == blue


@pytest.mark.parametrize("fractions", [("0.05", "1"), ("0.05", "0.1", "0.25", "0.5", "1")])
def test_rows_stand_close_together_whatever_the_number_of_columns(
    make_study: Callable[..., StudyFolder], fractions: tuple[str, ...]
) -> None:
    (axes,) = draw(dice_vs_labels, make_study(subjects=2, replicates=2, fractions=fractions)).axes
    places = sorted({float(x) for line in axes.lines for x in line.get_xdata()})
    width = float(np.ptp(axes.get_xlim()))
    first = axes.get_xticks()[0]
    near = [place for place in places if abs(place - first) < width / (2 * len(fractions))]
    assert 0.01 * width < np.ptp(near) < 0.12 * width


def test_a_legend_of_many_rows_is_whole_and_leaves_the_axes_their_height(tmp_path: Path) -> None:
    heights = []
    for count in (2, MANY):
        methods = ("random", *(f"a method with a long name, number {number}" for number in range(1, count)))
        study = FakeStudy(methods=methods, subjects=2, replicates=2, fractions=("1",)).write(tmp_path / str(count))
        figure = draw(dice_vs_labels, study)
        (legend,) = figure.legends
        box = legend.get_window_extent()
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= figure.bbox.width
        heights.append(figure.axes[0].get_window_extent().height)
    assert heights[1] > 0.75 * heights[0]


def test_more_rows_have_a_line_each_with_their_mean(make_study: Callable[..., StudyFolder]) -> None:
    methods = ("random", *(f"method {number}" for number in range(MANY)))
    folder = make_study(methods=methods, subjects=4, replicates=2, fractions=("0.1", "1"))
    results = load(folder)
    grid = arrange(results.plan)
    figure = dice_vs_labels(results, grid)
    assert [axes.get_title(loc="left") for axes in figure.axes] == [grid.column_title(each) for each in grid.columns]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == list(grid.rows)
    for axes, column in zip(figure.axes, grid.columns, strict=True):
        means = {line.get_ydata()[0]: line.get_xdata()[0] for line in axes.lines if line.get_marker() == "o"}
        expected = [results.dice(grid.cells[row, column]).to_numpy().mean() for row in grid.rows]
        assert [means[place] for place in range(len(grid.rows))] == pytest.approx(expected)


def test_a_difference_names_the_levels_that_both_rows_have_once(finished_study: StudyFolder) -> None:
    first, *_ = compare(load(finished_study), arrange(load(finished_study).plan))
    pair = replace(first, row="simclr, slow", reference="random, slow")
    figure = differences([pair, replace(first, row="simclr, slow", reference="base")])
    assert figure is not None
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == ["slow: simclr - random", "simclr, slow - base"]
