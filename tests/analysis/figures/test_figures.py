from collections.abc import Callable

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from analysis.figures.curves import learning_curves, pretext_name
from analysis.figures.labels import dice_vs_labels
from analysis.figures.style import line_styles
from analysis.io.load import load
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


def test_pretext_name() -> None:
    assert pretext_name("pretext-global_local-0a1b2c3d4e5f") == "global_local"
    assert pretext_name("other") == "other"
