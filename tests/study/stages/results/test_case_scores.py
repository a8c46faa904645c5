"""Scores of test cases, and their means."""

import dataclasses

import numpy as np
import pytest
from toys import toy_store

from study.stages.results.case_scores import DISTANCES, case_scores, case_table, mean_scores, pooled_scores
from trainables.downstream.segmentation import Predictions

STORE = toy_store(6)


def predictions(dice: list[float], rows: list[int]) -> Predictions:
    masks, frames = np.asarray(STORE.masks)[STORE.index["mask"][rows]], np.array(rows)
    return Predictions(frames, masks, frames, masks, frames, np.array(dice)[:, None], 0.0)


def test_a_perfect_prediction_has_no_distance():
    index = np.array(STORE.index)
    index["spacing"] = 1.0
    scores = case_scores(predictions([1.0, 1.0], [2, 5]), dataclasses.replace(STORE, index=index))
    assert list(scores) == ["dice", *DISTANCES]
    assert all((scores[name] == 0).all() for name in DISTANCES)


def test_means_are_over_cases_of_a_subject_and_then_over_subjects():
    index = np.array(STORE.index)
    index["subject"][[2, 5]] = 2  # two cases of one subject, one of another
    store = dataclasses.replace(STORE, index=index)
    test = predictions([0.2, 0.4, 0.9], [2, 5, 0])
    metrics = mean_scores(test, {"dice": test.dice, "hausdorff": np.full((3, 1), np.nan)}, store)
    assert metrics == pytest.approx({"test/dice": (0.3 + 0.9) / 2, "test/dice/bright": (0.3 + 0.9) / 2})


def test_cases_that_a_measure_leaves_undefined_do_not_count():
    test = predictions([0.5, np.nan], [2, 5])
    assert mean_scores(test, {"dice": test.dice}, STORE)["test/dice"] == 0.5


def test_the_table_has_a_row_for_each_case_to_full_precision():
    test = predictions([0.1 + 0.2, np.nan], [2, 5])
    header, first, second = case_table(test, {"dice": test.dice}, STORE).splitlines()
    assert header == "subject,row,phase,dice,dice/bright"
    assert first == "2,2,,0.30000000000000004,0.30000000000000004"
    assert second == "5,5,,nan,nan"


def test_pooled_dice_counts_the_pixels_of_all_images_together():
    """Independent count; a case with a larger structure weighs more than in the mean over subjects."""
    rows = np.array([2, 5, 0])
    truth = np.asarray(STORE.masks)[rows]
    masks = truth.copy()
    masks[0] = 0  # the first structure is missed
    order = np.array([2, 0, 1])  # frames are segmented in another order than that of the references
    test = Predictions(rows[order], masks[order], rows, truth, rows, np.ones((3, 1)), 0.0)
    expected = 2 * (masks & truth).sum() / (masks.sum() + truth.sum())
    assert pooled_scores(test, STORE) == pytest.approx(
        {"test/pooled_dice": expected, "test/pooled_dice/bright": expected}
    )
    assert 0 < expected < 1
