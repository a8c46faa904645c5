from dataclasses import replace

import numpy as np
import pytest

from analysis.io.load import load
from analysis.stats.label_equivalence import LabelEquivalence, efficiency_table, label_equivalence, labels_needed
from analysis.tables.grid import arrange
from trainables.common.label_counts import LabelCounts

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
    assert simclr.text(20.0) == "at least 20x"
    assert simclr.text(1.0) == "at most 1x"
    assert "straight line" not in simclr.sentence(grid)


def test_an_interval_outside_the_measured_amounts_names_its_bound_once():
    inside = LabelEquivalence("simclr", "random", "0.05", 3.0, 2.0, 4.0, (1.0, 20.0))
    assert inside.interval == "2x to 4x"
    assert replace(inside, high=20.0).interval == "2x to at least 20x"
    assert replace(inside, low=20.0, high=20.0).interval == "at least 20x"
    assert replace(inside, low=1.0).interval == "at most 1x to 4x"


def test_a_curve_through_two_points_says_so(make_study):
    results = load(make_study(subjects=20, replicates=4, fractions=("0.05", "0.25")))
    grid = arrange(results.plan)
    found = label_equivalence(results, grid)
    assert {each.points for each in found} == {2}
    assert all("from a straight line through two amounts of labels" in each.sentence(grid) for each in found)
    assert any("straight line" in note for note in efficiency_table(grid, found).notes)


def test_a_reference_whose_dice_falls_gives_no_answer(make_study):
    results = load(make_study(subjects=12, replicates=3))
    grid = arrange(results.plan)
    falling = {"0.05": "1", "0.25": "0.25", "1": "0.05"}
    cells = {place: grid.cells[place[0], falling[place[1]]] for place in grid.cells}
    reverse = replace(grid, cells=cells)
    found = label_equivalence(results, reverse)
    assert all(not each.known and not each.saves for each in found)
    assert (
        found[0].sentence(grid) == "simclr at 5% labels: no saving of labels can be computed, as the Dice of random "
        "does not rise with the number of labels."
    )
    table = efficiency_table(grid, found)
    assert {entry.text for row in table.rows for entry in row[1:]} == {"-"}
    assert any(note.startswith("-: ") for note in table.notes)


def test_labels_of_validation_subjects_count(make_study):
    results = load(make_study(subjects=20, replicates=4))
    grid = arrange(results.plan)
    plain = {(each.row, each.column): each for each in label_equivalence(results, grid)}

    def counted(validation):
        numbers = {c: LabelCounts(round(100 * float(v["label_fraction"])), 0) for c, v in results.plan.cells.items()}
        labels = {cell: replace(each, validation=validation(each.training)) for cell, each in numbers.items()}
        plan = replace(results.plan, labels=labels)
        found = label_equivalence(replace(results, plan=plan), grid)
        return {(each.row, each.column): each for each in found}

    same = counted(lambda training: training // 5)
    every = counted(lambda training: 20)
    for place, each in plain.items():
        assert same[place].times == pytest.approx(each.times)
        amount = 100 * float(place[1])
        assert every[place].times == pytest.approx((each.times * amount + 20) / (amount + 20))


def test_columns_that_are_no_labels_have_no_label_equivalence(make_study):
    results = load(make_study(subjects=8, replicates=2))
    grid = replace(arrange(results.plan), column_factor="batch_size")
    assert label_equivalence(results, grid) == []
