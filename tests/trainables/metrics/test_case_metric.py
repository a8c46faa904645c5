"""Further metrics of test cases, compared with scikit-learn and MONAI."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.metrics import SurfaceDiceMetric
from sklearn.metrics import precision_score, recall_score

from trainables.metrics.case_metric import METRICS, Precision, Sensitivity, SurfaceDice, metric_name


@pytest.fixture
def masks() -> tuple[np.ndarray, np.ndarray]:
    numbers = np.random.default_rng(0)
    blobs = np.zeros((2, 5, 24, 24), np.uint8)
    for pair in blobs:
        for mask in pair:
            for label in (1, 2):
                row, column = numbers.integers(1, 12, 2)
                mask[row : row + 9, column : column + 7] = label
    return blobs[0], blobs[1]


@pytest.mark.parametrize(("metric", "reference"), [(Sensitivity(), recall_score), (Precision(), precision_score)])
def test_shares_are_those_of_scikit_learn(metric, reference, masks):
    found = metric(*masks, 3, np.ones((5, 2)))
    for case, (predicted, truth) in enumerate(zip(*masks, strict=True)):
        expected = reference(truth.ravel(), predicted.ravel(), labels=[1, 2], average=None)
        np.testing.assert_allclose(found[case], expected)


def test_a_share_of_nothing_is_undefined():
    empty, full = np.zeros((1, 4, 4), np.uint8), np.ones((1, 4, 4), np.uint8)
    assert np.isnan(Sensitivity()(full, empty, 2, np.ones((1, 2)))).all()
    assert np.isnan(Precision()(empty, full, 2, np.ones((1, 2)))).all()
    assert Sensitivity()(empty, full, 2, np.ones((1, 2))).item() == 0


@pytest.mark.parametrize("tolerance", [0.0, 1.0, 2.5])
def test_surface_dice_is_monais(tolerance, masks):
    found = SurfaceDice(tolerance)(*masks, 3, np.ones((5, 2)))
    hot = [torch.nn.functional.one_hot(torch.from_numpy(each).long(), 3).permute(0, 3, 1, 2) for each in masks]
    expected = SurfaceDiceMetric([tolerance, tolerance])(*hot)
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-6)


def test_surface_dice_knows_millimetres_and_empty_masks():
    predicted, truth = np.zeros((2, 1, 16, 16), np.uint8)
    predicted[0, 4:12, 4:12] = truth[0, 4:12, 5:13] = 1
    near, far = (SurfaceDice(2.0)(predicted, truth, 2, np.full((1, 2), step)).item() for step in (1.0, 4.0))
    assert near == 1
    assert 0 < far < 1
    assert np.isnan(SurfaceDice()(predicted, truth, 2, np.full((1, 2), np.nan))).all()
    assert SurfaceDice()(truth * 0, truth * 0, 2, np.ones((1, 2))).item() == 1
    assert SurfaceDice()(truth, truth * 0, 2, np.ones((1, 2))).item() == 0


def test_names_tell_two_tolerances_apart():
    assert [metric_name(each) for each in (Sensitivity(), SurfaceDice(1.5), SurfaceDice(2))] == [
        "sensitivity",
        "surface_dice_1.5mm",
        "surface_dice_2mm",
    ]
    assert all(kind.unit and kind.meaning for kind in METRICS.values())


def test_a_negative_tolerance_is_refused():
    with pytest.raises(ValueError, match="tolerance is -1, expected at least 0 mm"):
        SurfaceDice(-1)
