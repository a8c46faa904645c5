from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from analysis.io.load import load
from analysis.stats.comparisons import Comparison, compare
from analysis.stats.intervals import Difference, Estimate
from analysis.stats.pairs import best_probabilities, best_sentences, compare_pairs, verdict
from analysis.tables.grid import arrange
from analysis.tables.pairs import best_table, pair_table
from study.storage.workspace import StudyFolder


def pair(mean: float, low: float, high: float, p: float) -> Comparison:
    return Comparison("byol", "simclr", "1", "100%", Difference(Estimate(mean, low, high, 50, 3), p, 0.5), p)


@pytest.mark.parametrize(
    ("mean", "low", "high", "p", "expected"),
    [
        (0.03, 0.01, 0.05, 0.01, "better"),
        (-0.03, -0.05, -0.01, 0.01, "worse"),
        (0.004, -0.010, 0.018, 0.5, "equivalent"),
        (0.012, 0.001, 0.023, 0.2, "undecided"),
        (0.012, 0.001, 0.019, 0.01, "better"),
        (0.012, np.nan, np.nan, np.nan, "undecided"),
    ],
)
def test_the_verdict_follows_holms_p_and_the_margin(mean, low, high, p, expected) -> None:
    assert verdict(pair(mean, low, high, p), 0.02) == expected


def test_pairs_are_those_without_a_reference(finished_study: StudyFolder) -> None:
    results = load(finished_study)
    grid = arrange(results.plan)
    found = compare_pairs(results, grid)
    assert [(c.row, c.reference, c.column) for c in found] == [("byol", "simclr", c) for c in ("0.05", "0.25", "1")]
    assert not {(c.row, c.reference) for c in found} & {(c.row, c.reference) for c in compare(results, grid)}
    means = results.subjects.query("label_fraction == '1'").groupby("method")["dice"].mean()
    assert found[2].difference.estimate.mean == pytest.approx(means["byol"] - means["simclr"], abs=1e-12)
    table = pair_table(found, 0.02)
    assert set(table.data["verdict"]) <= {"better", "worse", "equivalent", "undecided"}


def plant(folder: StudyFolder, dice: dict[str, float], spread: float) -> None:
    """Give each method's replicates a mean Dice, with noise of their own and of each subject."""
    random = np.random.default_rng(0)
    for method, value in dice.items():
        for index in range(6):
            path = folder.job(f"{method}-1-replicate-{index}").test
            table = pd.read_csv(path, dtype={"subject": str})
            table.assign(dice=value + spread * random.normal(size=len(table))).to_csv(path, index=False)


def test_the_best_is_certain_where_it_is_far_ahead(make_study: Callable[..., StudyFolder]) -> None:
    folder = make_study(methods=("random", "simclr", "byol"), fractions=("1",), replicates=6, subjects=8)
    plant(folder, {"random": 0.5, "simclr": 0.8, "byol": 0.6}, 0.001)
    results = load(folder)
    grid = arrange(results.plan)
    found = best_probabilities(results, grid)
    assert found == {"1": {"random": 0.0, "simclr": 1.0, "byol": 0.0}}
    assert best_sentences(results, grid, found) == [
        "Best mean Dice at 100% labels: simclr, the best of 3 with probability 1.00."
    ]
    table = best_table(grid, found)
    assert table is not None
    assert [entry.strong for row in table.rows for entry in row[1:]] == [False, True, False]


def test_two_rows_share_the_probability_as_a_normal_difference_does(make_study: Callable[..., StudyFolder]) -> None:
    from scipy import stats

    folder = make_study(methods=("random", "simclr"), fractions=("1",), replicates=6, subjects=12)
    plant(folder, {"random": 0.700, "simclr": 0.705}, 0.05)
    results = load(folder)
    grid = arrange(results.plan)
    a, b = (results.dice(grid.cells[row, "1"]).to_numpy() for row in ("simclr", "random"))
    runs, subjects = (a - b).mean(axis=1), (a - b).mean(axis=0)
    # The bootstrap's variance, expanded by 6/5, the smaller of the two samples.
    residual = (a - b) - runs[:, None] - subjects[None, :] + (a - b).mean()
    error = np.sqrt((runs.var() / 6 + subjects.var() / 12 + residual.var() / 72) * 6 / 5)
    expected = stats.norm.cdf((a - b).mean() / error)
    assert best_probabilities(results, grid)["1"]["simclr"] == pytest.approx(expected, abs=0.03)
