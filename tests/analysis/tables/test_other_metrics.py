"""The table of the metrics beside Dice."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from analysis.io.load import load
from analysis.stats.intervals import interval
from analysis.tables.grid import arrange
from analysis.tables.other_metrics import other_metrics, other_metrics_table


@pytest.fixture(scope="module")
def results(finished_study):
    return load(finished_study)


def with_columns(results, **columns):
    return dataclasses.replace(results, images=results.images.assign(**columns))


def test_a_study_without_other_metrics_has_no_table(results):
    plain = results.images[[name for name in results.images.columns if "/" not in name or name.startswith("dice/")]]
    without = dataclasses.replace(results, images=plain)
    assert other_metrics(without.images) == []
    assert other_metrics_table(without, arrange(without.plan)) is None


def test_means_and_intervals_are_those_of_the_model_over_subjects_and_replicates(results):
    numbers = np.random.default_rng(0).uniform(0.2, 0.9, len(results.images))
    more = with_columns(results, **{"sensitivity/lv": numbers})
    table = other_metrics_table(more, arrange(more.plan))
    assert table is not None
    first = table.data[table.data["measure"] == "sensitivity"].iloc[0]
    cell = next(iter(arrange(more.plan).cells.values()))
    own = more.images[more.images["cell"] == cell]
    scores = own.pivot_table(index="replicate", columns="subject", values="sensitivity/lv").to_numpy()
    assert first["mean"] == pytest.approx(scores.mean())
    expected = interval(scores, possible=(0.0, 1.0))
    assert (first["ci_low"], first["ci_high"]) == pytest.approx((expected.low, expected.high))


def test_an_interval_keeps_to_possible_values(results):
    share = np.where(np.arange(len(results.images)) % 2, 1.0, 0.0)
    more = with_columns(results, **{"sensitivity/lv": share, "hausdorff95/lv": share, "mine/lv": share - 2})
    data = other_metrics_table(more, arrange(more.plan)).data
    kept = data[data["measure"] == "sensitivity"]
    assert kept["ci_low"].min() >= 0
    assert kept["ci_high"].max() <= 1
    assert data[data["measure"] == "hausdorff95"]["ci_low"].min() >= 0
    assert data[data["measure"] == "mine"]["ci_low"].min() < 0
