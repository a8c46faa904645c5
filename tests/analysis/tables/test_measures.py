"""The table of every measure, and a study's results with the scores of other images."""

from __future__ import annotations

import dataclasses
import shutil

import numpy as np
import pandas as pd
import pytest

from analysis.io.external import external_results
from analysis.io.load import load
from analysis.stats.comparisons import estimate_of
from analysis.stats.intervals import interval
from analysis.tables.measures import measure_table


@pytest.fixture(scope="module")
def results(finished_study):
    return load(finished_study)


def test_dice_has_the_estimate_of_the_report(results):
    table = measure_table(results).data.set_index(["cell", "measure"])
    for cell in results.plan.cells:
        row, expected = table.loc[(cell, "dice")], estimate_of(results, cell)
        np.testing.assert_allclose(row[["mean", "ci_low", "ci_high"]].astype(float), dataclasses.astuple(expected)[:3])
        assert (row["subjects"], row["replicates"]) == (expected.n_subjects, expected.n_replicates)


def test_a_distance_is_cut_at_zero_and_leaves_out_subjects_without_a_value(results):
    cell = next(iter(results.plan.cells))
    subjects = results.images["subject"].map({name: n for n, name in enumerate(results.images["subject"].unique())})
    values = np.where(subjects == 0, np.nan, subjects * 30.0)
    more = dataclasses.replace(results, images=results.images.assign(**{"hausdorff/lv": values}))
    row = measure_table(more).data.set_index(["cell", "measure"]).loc[(cell, "hausdorff/lv")]
    own = more.images[(more.images["cell"] == cell) & (subjects > 0)]
    scores = own.pivot_table(index="replicate", columns="subject", values="hausdorff/lv").to_numpy()
    assert row["subjects"] == scores.shape[1]
    expected = interval(scores, possible=(0.0, np.inf))
    np.testing.assert_allclose([row["mean"], row["ci_low"]], [expected.mean, expected.low])


def test_external_results_are_those_of_the_folder(results, tmp_path):
    cell = next(iter(results.plan.cells))
    for job in results.of_kind("replicate", cell)["id"]:
        (tmp_path / job).mkdir()
        shutil.copy(results.folder.job(job).test, tmp_path / job / "test.csv")
        table = pd.read_csv(tmp_path / job / "test.csv")
        table.assign(dice=table["dice"] / 2).to_csv(tmp_path / job / "test.csv", index=False)
    found = external_results(results, [cell], tmp_path)
    assert list(found.plan.cells) == [cell]
    assert estimate_of(found, cell).mean == pytest.approx(estimate_of(results, cell).mean / 2)
