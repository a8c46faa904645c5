import re
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from analysis.io.load import load
from analysis.stats.comparisons import Comparison, compare, missing_references, p_value_text
from analysis.stats.intervals import Difference, Estimate
from analysis.tables.cells import difference_table
from analysis.tables.grid import arrange
from study.storage.workspace import StudyFolder
from tests.analysis.tables.test_grid import plan


def comparison(
    mean: float, low: float, high: float, p: float, *, subjects: int = 50, replicates: int = 3
) -> Comparison:
    difference = Difference(Estimate(mean, low, high, subjects, replicates), p, 0.5)
    return Comparison("simclr", "random", "0.05", "5% labels", difference, p)


def test_sentence_of_a_clear_gain() -> None:
    assert comparison(0.021, 0.012, 0.030, 0.00123).sentence == (
        "simclr beats random at 5% labels by 0.021 Dice (95% CI 0.012 to 0.030), p = 0.001 after Holm; "
        "n = 50 subjects, 3 replicates"
    )


def test_sentence_of_a_clear_loss_gives_positive_sizes_in_order() -> None:
    assert comparison(-0.021, -0.030, -0.012, 0.0001).sentence.startswith(
        "simclr does worse than random at 5% labels by 0.021 Dice (95% CI 0.012 to 0.030), p < 0.001"
    )


def test_sentence_of_no_clear_difference() -> None:
    assert comparison(0.004, -0.004, 0.012, 0.41).sentence == (
        "no difference is shown between simclr and random at 5% labels: +0.004 Dice (95% CI -0.004 to +0.012), "
        "p = 0.41 after Holm; n = 50 subjects, 3 replicates"
    )


def test_the_verdict_follows_holms_p_where_the_interval_alone_excludes_zero() -> None:
    text = comparison(0.02, 0.01, 0.03, 0.2).sentence
    assert text.startswith("no difference is shown between simclr and random at 5% labels: +0.020 Dice")
    assert text.endswith("(the interval alone excludes zero)")


@pytest.mark.parametrize(("count", "text"), [(1, ", given 1 pretraining"), (2, ", 2 pretrainings"), (0, "")])
def test_sentence_counts_the_pretrainings(count: int, text: str) -> None:
    difference = Difference(Estimate(0.02, 0.01, 0.03, 50, 4, count), 0.01, 0.5)
    found = Comparison("simclr", "random", "0.05", "5% labels", difference, 0.01).sentence
    assert found.endswith(f"n = 50 subjects, 4 replicates{text}")


def test_sentence_of_one_subject_gives_no_interval() -> None:
    text = comparison(0.02, np.nan, np.nan, np.nan, subjects=1, replicates=1).sentence
    assert text.endswith("+0.020 Dice; n = 1 subject, 1 replicate (one test subject: no interval)")


def test_every_row_is_compared_with_the_reference_in_every_column(finished_study: StudyFolder) -> None:
    results = load(finished_study)
    found = compare(results, arrange(results.plan))
    assert [(c.row, c.column) for c in found] == [(r, c) for c in ("0.05", "0.25", "1") for r in ("simclr", "byol")]
    expected = [
        results.subjects.query("method == @c.row and label_fraction == @c.column")["dice"].mean()
        - results.subjects.query("method == 'random' and label_fraction == @c.column")["dice"].mean()
        for c in found
    ]
    np.testing.assert_allclose([c.difference.estimate.mean for c in found], expected, atol=1e-12)
    assert all(c.p_holm >= c.difference.p_value for c in found)
    assert any(c.p_holm > c.difference.p_value for c in found)


@pytest.mark.parametrize(("p", "text"), [(0.0004, "p < 0.001"), (0.0123, "p = 0.012"), (0.5, "p = 0.50")])
def test_p_value_text(p: float, text: str) -> None:
    assert re.fullmatch(re.escape(text), p_value_text(p))


def test_an_interval_of_few_replicates_stays_in_the_possible_range(make_study: Callable[..., StudyFolder]) -> None:
    folder = make_study(methods=("random", "simclr"), fractions=("1",), replicates=2, subjects=4)
    for method, dice in (("random", (0.1, 0.9)), ("simclr", (0.9, 0.1))):
        for index, value in enumerate(dice):
            path = folder.job(f"{method}-1-replicate-{index}").test
            table = pd.read_csv(path, dtype={"subject": str})
            table.assign(dice=value + 0.01 * (table["row"] % 4)).to_csv(path, index=False)
    results = load(folder)
    (found,) = compare(results, arrange(results.plan))
    assert (found.difference.estimate.low, found.difference.estimate.high) == (-1.0, 1.0)
    assert "(interval cut at the possible values, for lack of replicates or test subjects); " in found.sentence
    assert found.sentence.endswith(
        "not even 50 replicates on 10,000 test subjects would show 0.020 Dice with 80% power"
    )
    (note,) = difference_table([found]).notes[1:]
    assert "cut at the possible values" in note


def test_the_references_of_cells_that_are_not_among_them_are_named_once() -> None:
    whole = arrange(plan(labels=("3", "20"), method=("random", "simclr", "byol")))
    evaluated = ["labels=20,method=simclr", "labels=20,method=byol", "labels=3,method=random"]
    assert missing_references(whole, evaluated) == ["labels=20,method=random"]
    assert missing_references(whole, [*evaluated, "labels=20,method=random"]) == []
