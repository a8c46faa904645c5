"""First screen of a report: the answer, and the box of data and design."""

import json
from collections.abc import Callable

import pytest

from analysis.io.load import load
from analysis.report.answer import answer
from analysis.report.design import design, is_generated
from analysis.stats.comparisons import compare
from analysis.stats.minimal_labels import minimal_labels
from analysis.tables.grid import arrange
from study.config.definition import load_study
from study.storage.workspace import StudyFolder
from trainables.data.store.frames import FrameStore

MakeStudy = Callable[..., StudyFolder]


def answered(folder: StudyFolder) -> list[str]:
    results = load(folder)
    grid = arrange(results.plan, None, None)
    return answer(results, grid, compare(results, grid), minimal_labels(results, grid))


def test_the_answer_names_start_labels_and_settings_in_three_sentences(make_study: MakeStudy) -> None:
    which, labels, settings = answered(make_study(subjects=8, replicates=6))
    assert which.startswith("simclr beats random at 5% labels by ")
    assert "of 6 comparisons show a difference)." in which
    assert labels.startswith("simclr: ")
    assert settings == "The search chose for simclr 100% labels: strength 0.25, lr 0.002."


def test_without_a_difference_the_largest_is_named_as_not_shown(make_study: MakeStudy) -> None:
    which, *_ = answered(make_study(subjects=3, replicates=2))
    assert which.startswith("No start is shown to differ from its reference (none of 6 comparisons): the largest")


def test_a_study_without_results_has_no_answer_yet(make_study: MakeStudy) -> None:
    assert answered(make_study(finished=0)) == []


def test_the_box_has_what_the_study_recorded(make_study: MakeStudy) -> None:
    folder = make_study(subjects=8)
    plan = json.loads(folder.plan.read_text())
    study = load_study("quickstart")
    plan["spec"] = study.document()
    folder.plan.write_text(json.dumps(plan))
    results = load(folder)
    assert results.plan.frames is not None
    store = FrameStore.open(results.plan.frames)
    box = dict(design(results, store))
    built = study.spec.network.build(len(store.channel_names), len(store.classes))
    count = sum(parameter.numel() for parameter in built.parameters())
    assert box["Network"] == f"deeplabv3 with resnet_tiny, {count:,} parameters"
    assert box["Data"].startswith("GENERATED images in the form of ")
    assert box["test split"].startswith(f"{len(store.split_subjects('test'))} subject")
    assert box["Search"] == "2 settings, 4 trials a cell (tpe)"
    assert box["Replicates"] == "6 a cell, from 1 pretraining"
    assert "1970-01-01 (UTC)" in box["Ran"]
    assert is_generated(results)


@pytest.mark.parametrize("spec", [{}, {"data": {"layout": {"name": "of a plug-in"}}, "network": {"name": "unknown"}}])
def test_what_a_plan_does_not_record_is_left_out(make_study: MakeStudy, spec: dict[str, object]) -> None:
    folder = make_study(subjects=2)
    plan = json.loads(folder.plan.read_text())
    folder.plan.write_text(json.dumps({**plan, "spec": spec}))
    results = load(folder)
    box = dict(design(results, None))
    assert ("Network" in box, "Data" in box) == (bool(spec), bool(spec))
    assert not {"Pretraining", "Fine-tuning", "Replicates"} & set(box)
    assert not is_generated(results)
