import json
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from analysis.io.load import load
from study.planning.jobs import Outcome
from study.storage.events import JobFinished
from study.storage.ledger import Ledger
from study.storage.workspace import StudyFolder
from trainables.common.errors import DataError, UserError

CELL = "method=simclr,label_fraction=0.05"


def test_jobs_has_one_row_a_finished_job(finished_study: StudyFolder) -> None:
    jobs = load(finished_study).jobs.set_index("id")
    assert jobs["kind"].value_counts().to_dict() == {"trial": 36, "replicate": 27, "pretext": 2}
    row = jobs.loc["simclr-0.25-trial-2"]
    assert (row["status"], row["method"], row["label_fraction"], row["index"]) == ("stopped", "simclr", "0.25", 2)
    assert row["param/downstream.fit.optimizer.lr"] == pytest.approx(0.003)
    assert pd.isna(jobs.loc["pretext-byol-0123456789ab", "cell"])


def test_subject_dice_is_the_mean_over_its_images(finished_study: StudyFolder) -> None:
    results = load(finished_study)
    raw = pd.read_csv(finished_study.job("simclr-0.05-replicate-2").test, dtype={"subject": str})
    subject = raw["subject"].iloc[6]
    expected = np.mean([d for s, d in zip(raw["subject"], raw["dice"], strict=True) if s == subject])
    assert results.dice(CELL).loc[2, subject] == pytest.approx(expected)
    assert results.dice(CELL).shape == (3, 20)
    assert len(results.subjects) == 27 * 20


def test_hashes_that_look_like_numbers_stay_text(finished_study: StudyFolder) -> None:
    assert "0003e5" in set(load(finished_study).subjects["subject"])


def test_subject_without_a_value_in_a_replicate_is_left_out(make_study: Callable[..., StudyFolder]) -> None:
    folder = make_study(subjects=4)
    path = folder.job("simclr-0.05-replicate-1").test
    table = pd.read_csv(path, dtype=str)
    table.loc[[2, 3], ["dice", "dice/lv"]] = "nan"
    table.loc[4, ["dice", "dice/lv"]] = "nan"
    table.to_csv(path, index=False)
    found = load(folder).dice(CELL)
    assert list(found.columns) == ["0000e5", "0002e5", "0003e5"]
    assert found.loc[1, "0002e5"] == pytest.approx(float(table.loc[5, "dice"]))


def test_missing_counts_what_has_no_result(make_study: Callable[..., StudyFolder]) -> None:
    assert load(make_study(subjects=2, finished=4)).missing == {"replicate": 23}


def test_nothing_is_missing_from_a_finished_study(finished_study: StudyFolder) -> None:
    assert load(finished_study).missing == {}


def test_history_lets_the_last_of_repeated_epochs_win_and_skips_torn_lines(
    make_study: Callable[..., StudyFolder],
) -> None:
    folder = make_study(subjects=2, finished=1)
    lines = [
        {"epoch": 1, "time": 0, "metrics": {"loss": 3.0}},
        {"epoch": 2, "time": 1, "metrics": {"loss": 2.0}},
        {"epoch": 2, "time": 2, "metrics": {"loss": 2.5, "val/dice": 0.5}},
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines) + '{"epoch": 3, "time": 4, "met'
    folder.job("job").root.mkdir()
    folder.job("job").metrics.write_text(text)
    history = load(folder).history("job")
    assert history.index.tolist() == [1, 2]
    assert history["loss"].tolist() == [3.0, 2.5]
    assert load(folder).history("absent").empty


def test_a_retried_job_counts_once_with_its_last_end(make_study: Callable[..., StudyFolder]) -> None:
    folder = make_study(subjects=2, finished=1)
    before = load(folder).jobs
    ledger = Ledger(folder.ledger, lambda: 0.0)
    cell, outcome = "method=random,label_fraction=0.05", Outcome("failed", {}, 1, 1.0, "diverged")
    ledger.append(JobFinished("random-0.05-trial-0", "trial", cell, 0, {}, "d", outcome))
    ledger.close()
    results = load(folder)
    assert len(results.jobs) == len(before)
    assert results.missing["trial"] == 1


def test_chosen_gives_the_trial_number(finished_study: StudyFolder) -> None:
    assert load(finished_study).chosen[CELL] == 1


def test_a_missing_test_table_is_named(make_study: Callable[..., StudyFolder]) -> None:
    folder = make_study(subjects=2)
    folder.job("byol-1-replicate-0").test.unlink()
    with pytest.raises(DataError, match=r"byol-1-replicate-0/test\.csv: file is missing"):
        load(folder)


@pytest.mark.parametrize("text", ["", "[]", '{"name": "x"}'])
def test_a_damaged_plan_is_named(make_study: Callable[..., StudyFolder], text: str) -> None:
    folder = make_study(subjects=2, finished=0)
    folder.plan.write_text(text)
    with pytest.raises(UserError, match=r"plan\.json: damaged .*Fix: "):
        load(folder)
