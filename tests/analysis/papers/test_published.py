import csv
from dataclasses import replace

import pytest

from analysis.io.load import load
from analysis.papers.published import TABLES, paper_table, published_results
from study.config.catalog import available
from study.config.definition import load_study


def test_every_printed_figure_is_a_cell_of_its_study():
    names = dict(available())
    for study in {row["study"] for row in csv.DictReader(TABLES.open())}:
        assert study in names
        cells = [cell.levels for cell in load_study(study, profile="paper").cells()]
        for row in published_results(study):
            assert sum(row.matches(levels) for levels in cells) == 1, row


def test_figures_are_as_printed():
    found = {(row.network, row.method, row.labels): row.dice for row in published_results("saeed2022_echonet-smoke")}
    assert found["deeplabv3", "simclr", 0.05] == 0.9125
    assert found["unet", "byol", 0.05] == 0.8318
    assert {row.study for row in published_results("saeed2022_camus")} == {"saeed2022_camus"}
    assert published_results("quickstart") == []
    multitask = {row.labels: row.dice for row in published_results("bai2019_short_axis") if row.method == "multitask"}
    assert multitask == {1: 0.704, 5: 0.852, 10: 0.875, 50: 0.873, 100: 0.887}


def test_measured_values_are_shown_with_the_published_ones(finished_study):
    results = load(finished_study)
    assert paper_table(results) is None
    named = replace(results, plan=replace(results.plan, name="saeed2022_echonet"))
    table = paper_table(named)
    assert table is not None
    rows = {(row["method"], float(row["label_fraction"])): row for row in table.data.to_dict("records")}
    mean = results.subjects[(results.subjects["method"] == "simclr") & (results.subjects["label_fraction"] == "0.05")]
    by_subject = mean.groupby("subject")["dice"].mean()
    assert rows["simclr", 0.05]["measured"] == pytest.approx(by_subject.mean(), abs=1e-9)
    assert table.header == ("method", "5% labels", "25% labels", "100% labels")
    row = next(row for row in table.rows if row[0].text == "simclr")
    assert row[1].text == f"{by_subject.mean():.4f} / - (0.9125)"


def test_pooled_dice_is_beside_a_figure_that_pools_all_images(finished_study):
    results = load(finished_study)
    jobs = results.jobs.assign(**{"test/pooled_dice": 0.75})
    named = replace(results, plan=replace(results.plan, name="saeed2022_echonet"), jobs=jobs)
    table = paper_table(named)
    assert table is not None
    assert set(table.data["pooled"]) == {0.75}
    assert all(" / 0.7500 (0.9" in row[-1].text for row in table.rows)
    assert any("over the pixels of all test images" in note for note in table.notes)


def test_subjects_are_down_and_methods_across_where_the_paper_has_them_so(finished_study):
    results = load(finished_study)
    cells = {f"method={m},labels={n}": {"method": m, "labels": n} for m in ("scratch", "multitask") for n in ("1", "5")}
    factors = {"method": ("scratch", "multitask"), "labels": ("1", "5")}
    plan = replace(results.plan, name="bai2019_short_axis", cells=cells, factors=factors)
    table = paper_table(replace(results, plan=plan))
    assert table is not None
    assert table.header == ("labels", "method scratch", "method multitask")
    assert [[entry.text for entry in row][2] for row in table.rows] == ["- (0.7040)", "- (0.8520)"]
