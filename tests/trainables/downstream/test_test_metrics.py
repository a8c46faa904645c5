import dataclasses

import numpy as np
import pytest
from toys import sequence_store

from trainables.downstream.segmentation import Predictions
from trainables.downstream.test_metrics import curves, distances, volumes

SIZE = 96


def half_ellipse(length: float, width: float) -> np.ndarray:
    """A ventricle seen along its axis: apex up, base down, in pixels of 1 mm."""
    rows, columns = np.mgrid[:SIZE, :SIZE]
    down = 80 - rows
    return ((columns - 48) / (width / 2)) ** 2 + (down / length) ** 2 <= 1


def ventricles(views=("4CH",), spacing=1.0):
    """One subject, each view a sequence ED, between, ES; predictions are one pixel narrower on each side."""
    shapes = [(60, 40), (55, 34), (50, 28)]
    store = sequence_store(["ED", "", "ES"] * len(views), 3)
    index = np.array(store.index)
    index["subject"], index["spacing"] = 0, spacing
    index["view"] = np.repeat(np.arange(len(views)), 3)
    masks = np.array([half_ellipse(*shape) & (np.mgrid[:SIZE, :SIZE][0] <= 80) for shape in shapes] * len(views))
    index["mask"] = np.arange(len(masks))
    whole = dataclasses.replace(
        store, index=index, masks=masks.astype(np.uint8), views=tuple(views), classes=("background", "lv")
    )
    predicted = masks & np.roll(masks, 1, 2) & np.roll(masks, -1, 2)
    rows = np.arange(len(masks))
    cases = rows[index["phase"] > 0]
    dice = np.ones((len(cases), 1))
    return whole, Predictions(rows, predicted.astype(np.uint8), rows, whole.masks, cases, dice, 0.0)


def test_areas_go_over_time_in_square_mm():
    store, found = ventricles(spacing=2.0)
    (curve,) = curves(store, found)
    np.testing.assert_allclose(curve.areas[:, 0], 4 * found.masks.sum((1, 2)))
    second = curve.areas[0, 0] - 2 * curve.areas[1, 0] + curve.areas[2, 0]
    assert curve.smoothness[0] == pytest.approx(2 * second**2)
    partly = dataclasses.replace(found, rows=found.rows[[0, 2]], masks=found.masks[[0, 2]])
    assert curves(store, partly) == []


@pytest.mark.parametrize("views", [("4CH",), ("2CH", "4CH")])
def test_volumes_are_those_of_the_half_ellipsoid(views):
    store, found = ventricles(views)
    (measured,) = volumes(store, found)
    assert measured.view == ("biplane" if len(views) == 2 else "4CH")
    for (length, width), (predicted, true) in zip([(60, 40), (50, 28)], [measured.edv, measured.esv], strict=True):
        expected = 2 / 3 * np.pi * (width / 2) ** 2 * length / 1000
        assert true == pytest.approx(expected, rel=0.05)
        assert predicted == pytest.approx(2 / 3 * np.pi * (width / 2 - 1) ** 2 * length / 1000, rel=0.05)
    assert measured.ef[1] == pytest.approx(100 * (1 - 28**2 * 50 / (40**2 * 60)), abs=1.0)


def test_what_has_no_spacing_or_other_views_has_no_volume():
    assert volumes(*ventricles(spacing=np.nan)) == []
    assert volumes(*ventricles(("SA",))) == []


def test_distances_are_of_cases_in_mm_and_volumes_of_slices_have_none():
    store, found = ventricles(spacing=2.0)
    distance = distances(store, found)
    assert distance.hausdorff.shape == (2, 1)
    assert (distance.mean_absolute > 0.5).all()
    assert (distance.hausdorff >= 2).all()
    index = np.array(store.index)
    index["stack"] = 1
    assert np.isnan(distances(dataclasses.replace(store, index=index), found).hausdorff).all()
