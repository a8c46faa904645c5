"""The report says which images of test subjects were seen without labels."""

from pathlib import Path

import pytest

from analysis.io.load import PlannedStudy
from analysis.report.known_images import known_image_sentences
from study.config.definition import load_study


def sentences(*sets: str, study: str = "quickstart") -> list[str]:
    spec = load_study(study, sets=sets).document()
    return known_image_sentences(PlannedStudy("", "", {}, {}, "dice", {}, Path(), (), spec=spec))


def test_nothing_is_said_of_a_study_whose_test_images_were_not_seen():
    assert sentences() == []


def test_tested_folds_are_said():
    (said,) = sentences(
        "downstream.folds=4", "downstream.test=folds", "downstream.validation=none", "search.space=null"
    )
    assert "one of 4 folds that leaves it out" in said


@pytest.mark.parametrize("path", ["pretext.splits", "factors.method.simclr"])
def test_pretraining_on_all_splits_is_said(path):
    value = "all" if path == "pretext.splits" else "{pretext.method: simclr, pretext.splits: all}"
    assert sentences(f"{path}={value}") == [
        "Pretraining has seen the images of validation and test subjects, and none of their masks."
    ]


def test_a_plan_without_settings_says_nothing():
    assert known_image_sentences(PlannedStudy("", "", {}, {}, "dice", {}, Path(), ())) == []
