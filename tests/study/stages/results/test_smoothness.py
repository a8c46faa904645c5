"""Smoothness over time of segmented sequences."""

import dataclasses
from unittest.mock import create_autospec

import numpy as np
import pytest
from toys import sequence_store

from study.stages.results import smoothness
from study.stages.results.smoothness import mean_smoothness, sequence_table, smoothness_metrics
from trainables.common.errors import UserError
from trainables.downstream.segmentation import Predictions
from trainables.downstream.test_metrics import Curves

STORE = sequence_store(["ED", "", "ES"] * 3, 3)


def curve(sequence: int, *areas: float) -> Curves:
    return Curves(sequence, np.arange(3) + 3 * sequence, np.array(areas)[:, None])


def predictions(frames: int) -> Predictions:
    """Empty masks of frames, none of which has a reference mask."""
    none = np.arange(0)
    masks = np.zeros((frames, 8, 8), np.uint8)
    return Predictions(np.arange(frames), masks, none, masks[:0], none, np.zeros((0, 1)), 0.0)


def test_metrics_average_a_subjects_sequences_first():
    index = np.array(STORE.index)
    index["subject"] = index["sequence"] // 2  # the first subject has two sequences
    store = dataclasses.replace(STORE, index=index)
    found = [curve(0, 10, 12, 10), curve(1, 10, 14, 10), curve(2, 10, 18, 10)]
    each = [float(one.smoothness[0]) for one in found]
    assert each[0] < each[1] < each[2]
    expected = ((each[0] + each[1]) / 2 + each[2]) / 2
    assert smoothness_metrics(found, store) == pytest.approx({"test/smoothness/bright": expected})


def test_the_objective_is_the_logarithm_and_is_finite_for_a_constant_area(monkeypatch):
    test = predictions(9)
    curves = create_autospec(smoothness.curves, return_value=[curve(0, 10, 12, 10)])
    monkeypatch.setattr(smoothness, "curves", curves)
    expected = np.log10(curve(0, 10, 12, 10).smoothness[0])
    assert mean_smoothness(test, STORE) == pytest.approx(expected)
    curves.return_value = [curve(0, 10, 10, 10)]
    assert mean_smoothness(test, STORE) == pytest.approx(-12)


def test_data_without_sequences_have_none():
    test = predictions(2)
    with pytest.raises(UserError, match="val/smoothness needs validation sequences of three frames or more"):
        mean_smoothness(test, STORE)


def test_the_table_has_a_row_for_each_frame():
    header, *rows = sequence_table([curve(1, 10, 12, 11)], STORE).splitlines()
    assert header == "subject,sequence,view,row,phase,area/bright,smoothness/bright"
    assert [row.split(",")[:6] for row in rows] == [
        ["1", "1", "4CH", "3", "ED", "10.0"],
        ["1", "1", "4CH", "4", "", "12.0"],
        ["1", "1", "4CH", "5", "ES", "11.0"],
    ]
