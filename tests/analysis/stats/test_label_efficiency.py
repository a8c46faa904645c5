from dataclasses import replace

import numpy as np
import pytest

from analysis.io.load import load
from analysis.stats.label_efficiency import label_equivalence, labels_needed, minimal_labels
from analysis.tables.grid import arrange

AMOUNTS = np.array([4.0, 16.0, 64.0, 256.0])


@pytest.mark.parametrize("exponent", [0.25, 0.5, 1.0])
def test_a_power_law_is_read_backwards(exponent):
    def curve(n):
        return 0.9 - 0.8 * n**-exponent

    truth = np.array([[4.5, 30.0, 100.0, 250.0]])
    np.testing.assert_allclose(labels_needed(AMOUNTS, curve(AMOUNTS)[None], curve(truth)), truth, rtol=1e-9)


def test_a_logarithm_is_read_backwards_and_two_amounts_give_one():
    few = AMOUNTS[[0, 2]]
    curve = 0.5 + 0.05 * np.log(few)
    truth = np.array([[8.0, 16.0]])
    np.testing.assert_allclose(labels_needed(few, curve[None], 0.5 + 0.05 * np.log(truth)), truth)


@pytest.mark.parametrize("amounts", [AMOUNTS, np.array([0.05, 0.25]), np.array([0.1, 0.3])])
def test_what_is_beyond_the_measured_amounts_is_exactly_their_end(amounts):
    curve = (0.9 - 0.01 / amounts)[None]
    np.testing.assert_array_equal(labels_needed(amounts, curve, np.array([[0.0, 0.95]])), amounts[None, [0, -1]])


def test_a_reference_that_labels_do_not_help_is_never_caught_up_with():
    flat = np.full((1, 4), 0.7)
    np.testing.assert_allclose(labels_needed(AMOUNTS, flat, np.array([[0.71, 0.69]])), [[256.0, 4.0]])


def test_a_better_start_is_worth_more_labels(make_study):
    results = load(make_study(subjects=20, replicates=4))
    grid = arrange(results.plan)
    found = {(each.row, each.column): each for each in label_equivalence(results, grid)}
    assert set(found) == {(row, column) for row in ("simclr", "byol") for column in ("0.05", "0.25")}
    simclr = found["simclr", "0.05"]
    assert simclr.low > 1
    assert simclr.low <= simclr.times <= simclr.high
    assert simclr.times > found["byol", "0.05"].times
    assert "reaches the Dice" in simclr.sentence(grid)
    unsure = replace(simclr, low=0.9)
    assert "no saving of labels is shown compared with random" in unsure.sentence(grid)
    assert simclr.text(20.0) == "more than 20x"
    assert simclr.text(1.0) == "less than 1x"


def test_enough_is_what_the_margin_allows(make_study):
    results = load(make_study(subjects=20, replicates=4))
    grid = arrange(results.plan)
    for margin, fewest in ((1.0, "0.05"), (0.0, "1")):
        assert {each.fewest for each in minimal_labels(results, grid, margin)} == {fewest}
    (every, *_) = minimal_labels(results, grid, 0.0)
    assert "25% labels is not shown to be enough" in every.sentence(grid)
    lows = [d.estimate.low for d in every.differences.values()]
    between = minimal_labels(results, grid, -max(lows) + 1e-6)[0]
    assert between.fewest == "0.25"
    assert "25% labels is enough" in between.sentence(grid)
