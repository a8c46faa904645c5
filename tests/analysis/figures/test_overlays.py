from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from analysis.figures.overlays import choose_cases, overlays
from analysis.io.load import load
from analysis.tables.grid import arrange
from study.storage.workspace import StudyFolder
from trainables.common.errors import DataError
from trainables.data.store.frames import FrameStore


def test_cases_are_quantiles_of_the_median_over_methods() -> None:
    # Medians over the three methods are .00 .. .10 at rows 0, 10, .. 100; the third method alone says the opposite.
    good = np.arange(11) / 100
    dice = pd.DataFrame({"a": good, "b": good, "c": 1 - good}, index=np.arange(11) * 10)
    assert choose_cases(dice) == {"Easy": 90, "Typical": 50, "Hard": 10}


def test_cases_of_one_image_and_of_none() -> None:
    assert choose_cases(pd.DataFrame({"a": [0.5]}, index=[7])) == {"Easy": 7}
    assert choose_cases(pd.DataFrame({"a": [np.nan]}, index=[7])) == {}


def test_each_panel_names_method_and_dice_of_the_first_replicate(finished_study: StudyFolder) -> None:
    results = load(finished_study)
    assert results.plan.frames is not None
    figure = overlays(results, arrange(results.plan), FrameStore.open(results.plan.frames))
    assert figure is not None
    titles = [axes.get_title() for axes in figure.axes]
    assert len(titles) == 9
    tables = {m: pd.read_csv(finished_study.job(f"{m}-0.05-replicate-0").test) for m in ("random", "simclr", "byol")}
    medians = pd.DataFrame({m: t.set_index("row")["dice"] for m, t in tables.items()}).median(axis=1).sort_values()
    row = medians.index[round(0.9 * 39)]
    assert titles[:3] == [f"{m}\nDice {t.set_index('row')['dice'][row]:.3f}" for m, t in tables.items()]
    shown = figure.axes[0].images[0].get_array()
    assert shown is not None
    np.testing.assert_array_equal(shown, FrameStore.open(results.plan.frames).images[row][0])


def test_outlines_lie_where_the_masks_are(finished_study: StudyFolder) -> None:
    results = load(finished_study)
    assert results.plan.frames is not None
    store = FrameStore.open(results.plan.frames)
    figure = overlays(results, arrange(results.plan), store)
    assert figure is not None
    shown = figure.axes[0].images[0].get_array()
    row = next(r for r in range(len(store)) if np.array_equal(store.images[r][0], shown))
    truth, predicted = (contour.get_paths()[0].get_extents() for contour in figure.axes[0].collections)
    for box, mask in (
        (truth, store.masks[row]),
        (predicted, np.load(finished_study.job("random-0.05-replicate-0").predictions)["masks"][row]),
    ):
        rows, columns = np.nonzero(mask)
        assert [box.y0, box.y1] == [rows.min() - 0.5, rows.max() + 0.5]
        assert [box.x0, box.x1] == [columns.min() - 0.5, columns.max() + 0.5]


def test_nothing_to_show_yet(make_study: Callable[..., StudyFolder]) -> None:
    results = load(make_study(subjects=2, finished=0))
    assert results.plan.frames is not None
    assert overlays(results, arrange(results.plan), FrameStore.open(results.plan.frames)) is None


def test_damaged_predictions_are_named(make_study: Callable[..., StudyFolder]) -> None:
    folder = make_study(subjects=2)
    folder.job("byol-0.05-replicate-0").predictions.write_bytes(b"PK")
    results = load(folder)
    assert results.plan.frames is not None
    with pytest.raises(DataError, match=r"byol-0\.05-replicate-0/predictions\.npz"):
        overlays(results, arrange(results.plan), FrameStore.open(results.plan.frames))


def test_many_methods_stand_in_several_lines(make_study: Callable[..., StudyFolder]) -> None:
    methods = ("random", *(f"method {number}" for number in range(7)))
    results = load(make_study(methods=methods, fractions=("1",), subjects=6, replicates=1, trials=0))
    assert results.plan.frames is not None
    figure = overlays(results, arrange(results.plan), FrameStore.open(results.plan.frames))
    assert figure is not None
    assert figure.get_figwidth() < 14
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert len(shown) == 3 * len(methods)
    assert [axes.get_title().partition("\n")[0] for axes in shown] == 3 * list(methods)
