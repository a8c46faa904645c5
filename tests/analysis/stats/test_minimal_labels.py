"""Fewest labels that are enough: what the sentence says for each outcome."""

from dataclasses import replace

import pytest

from analysis.io.load import load
from analysis.stats.intervals import Difference, Estimate
from analysis.stats.minimal_labels import MinimalLabels, minimal_labels
from analysis.tables.grid import Grid, arrange
from trainables.common.label_counts import LabelCounts


def grid(*fractions: str) -> Grid:
    cells = {("random", fraction): fraction for fraction in fractions}
    return Grid(("method",), "label_fraction", ("random",), fractions, cells, {})


def difference(mean: float, low: float, high: float) -> Difference:
    return Difference(Estimate(mean, low, high, 20, 3), 0.5, 0.0)


def found(most: str, fewest: str | None, **differences: Difference) -> MinimalLabels:
    named = {key.removeprefix("f").replace("_", "."): value for key, value in differences.items()}
    return MinimalLabels("random", most, fewest, 0.02, named)


def test_enough_is_what_the_margin_allows(make_study):
    results = load(make_study(subjects=20, replicates=4))
    grid = arrange(results.plan)
    for margin, fewest in ((1.0, "0.05"), (0.0, "1")):
        assert {each.fewest for each in minimal_labels(results, grid, margin)} == {fewest}
    (every, *_) = minimal_labels(results, grid, 0.0)
    lows = [d.estimate.low for d in every.differences.values()]
    between = minimal_labels(results, grid, -max(lows) + 1e-6)[0]
    assert between.fewest == "0.25"
    assert "25% labels is enough" in between.sentence(grid)
    assert minimal_labels(results, replace(grid, column_factor="batch_size")) == []


@pytest.mark.parametrize(
    ("high", "verb"), [(-0.03, "is not enough"), (-0.01, "is not shown to be enough"), (0.02, "is not shown to be")]
)
def test_more_than_was_tried_may_be_needed(high, verb):
    one = found("0.25", "0.25", f0_05=difference(-0.05, -0.08, high))
    text = one.sentence(grid("0.05", "0.25"))
    assert text.startswith(f"random: 5% labels {verb}")
    assert text.endswith("; more than 25% labels was not tried.")


def test_all_labels_are_not_called_untried():
    one = found("1", "1", f0_05=difference(-0.05, -0.08, -0.03))
    assert one.sentence(grid("0.05", "1")).endswith("; 100% labels is all there is.")


def test_the_smallest_amount_may_not_be_the_least_that_is_enough():
    both = {"f0_05": difference(-0.005, -0.01, 0.0), "f0_25": difference(0.0, -0.01, 0.01)}
    assert found("1", "0.05", **both).sentence(grid("0.05", "0.25", "1")).endswith("; fewer was not tried.")
    assert "not tried" not in found("1", "0.25", **both).sentence(grid("0.05", "0.25", "1"))


def test_labels_that_do_not_help_have_no_fewest(make_study):
    results = load(make_study(subjects=12, replicates=3))
    plan = arrange(results.plan)
    falling = {"0.05": "1", "0.25": "0.25", "1": "0.05"}
    reverse = replace(plan, cells={place: plan.cells[place[0], falling[place[1]]] for place in plan.cells})
    (one, *_) = minimal_labels(results, reverse)
    assert one.fewest is None
    assert "no number of labels can be named, as fewer labels reach more Dice: 5% labels +0." in one.sentence(plan)


def test_training_and_validation_subjects_are_named():
    labels = {"0.05": LabelCounts(5, 2), "1": LabelCounts(100, 40)}
    one = replace(found("1", "0.05", f0_05=difference(0.0, -0.01, 0.01)), labels=labels)
    assert one.sentence(grid("0.05", "1")) == (
        "random: 5% labels (5 training + 2 validation subjects) is enough: +0.000 Dice (95% CI -0.010 to +0.010) "
        "compared with 100% labels (100 training + 40 validation subjects) (non-inferior at a margin of 0.02); fewer "
        "was not tried."
    )
