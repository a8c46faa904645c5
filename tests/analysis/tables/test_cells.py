import io
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from analysis.io.load import load
from analysis.tables.cells import cell_table, chosen_table, short_names, trial_table
from analysis.tables.table import Entry, Table
from study.storage.workspace import StudyFolder


def test_cell_table_has_the_means_of_the_test_files(finished_study: StudyFolder) -> None:
    table = cell_table(load(finished_study))
    assert table.header == ("method", "5% labels", "25% labels", "100% labels")
    jobs = [finished_study.job(f"simclr-0.05-replicate-{index}").test for index in range(3)]
    expected = np.mean([pd.read_csv(path)["dice"].mean() for path in jobs])
    row = table.data.query("method == 'simclr' and label_fraction == '0.05'").iloc[0]
    assert row["dice"] == pytest.approx(expected)
    assert row["ci_low"] < row["dice"] < row["ci_high"]
    assert table.rows[1][1].text == f"{row['dice']:.3f} ({row['ci_low']:.3f} to {row['ci_high']:.3f})"


def test_best_of_each_column_stands_out(finished_study: StudyFolder) -> None:
    data = cell_table(load(finished_study)).data
    for _, column in data.groupby("label_fraction"):
        assert column.loc[column["dice"].idxmax(), "best_or_tied"]
    assert not data.query("method == 'random'")["best_or_tied"].any()


def test_ties_stand_out_too(make_study: Callable[..., StudyFolder]) -> None:
    folder = make_study(methods=("random", "simclr"), fractions=("1",), subjects=6)
    for index in range(3):
        source = folder.job(f"simclr-1-replicate-{index}").test
        table = pd.read_csv(source, dtype={"subject": str})
        # Half of the subjects a little better, half a little worse: no difference, but another mean.
        table["dice"] += np.where(np.arange(len(table)) // 2 % 2, 0.02, -0.019) + 0.001 * index
        table.to_csv(folder.job(f"random-1-replicate-{index}").test, index=False)
    assert cell_table(load(folder)).data["best_or_tied"].tolist() == [True, True]


def test_one_subject_marks_none_as_best(make_study: Callable[..., StudyFolder]) -> None:
    table = cell_table(load(make_study(subjects=1, replicates=1)))
    assert not table.data["best_or_tied"].any()
    assert any("no interval" in note for note in table.notes)


def test_transposed(finished_study: StudyFolder) -> None:
    table = cell_table(load(finished_study), rows="label_fraction", columns="method")
    assert table.header == ("label_fraction", "method random", "method simclr", "method byol")
    assert [row[0].text for row in table.rows] == ["0.05", "0.25", "1"]


def test_chosen_table_shows_the_chosen_trials_settings(finished_study: StudyFolder) -> None:
    table = chosen_table(load(finished_study))
    assert table.header == ("method", "label_fraction", "trial", "strength", "lr", "val/dice of the trial")
    assert set(table.data["param/downstream.fit.optimizer.lr"]) == {0.002}
    assert set(table.data["val/dice"]) == {0.81}


def test_trial_table_counts_censored_trials(finished_study: StudyFolder) -> None:
    data = trial_table(load(finished_study)).data
    assert (data["completed"].tolist(), data["stopped"].tolist(), data["failed"].tolist()) == (
        [3] * 9,
        [1] * 9,
        [0] * 9,
    )


def test_short_names_are_the_shortest_distinct_ends() -> None:
    paths = ["pretext.fit.lr", "downstream.fit.lr", "downstream.augment.strength", "lr"]
    assert short_names(paths) == {
        "pretext.fit.lr": "pretext.fit.lr",
        "downstream.fit.lr": "downstream.fit.lr",
        "downstream.augment.strength": "strength",
        "lr": "lr",
    }


TABLE = Table("T", ("a|b", "c"), ((Entry("x"), Entry("1*", strong=True)),), ("A note.",), pd.DataFrame({"v": [0.1]}))


def test_markdown_escapes_and_marks() -> None:
    assert TABLE.to_markdown() == "## T\n\n| a\\|b | c |\n| :-- | --: |\n| x | **1\\*** |\n\nA note.\n"


def test_csv_keeps_full_precision() -> None:
    table = Table("T", (), (), (), pd.DataFrame({"v": [1 / 3]}))
    assert float(table.to_csv().splitlines()[1]) == 1 / 3


def test_terminal_shows_brackets_as_they_are() -> None:
    table = Table("T [x]", ("c",), ((Entry("[red]y"),),), ("[note]",), pd.DataFrame())
    text = io.StringIO()
    Console(file=text, width=40).print(table.to_rich())
    assert all(part in text.getvalue() for part in ("T [x]", "[red]y", "[note]"))
