"""The report says whether cells with few labels train for as many epochs or for as many steps."""

from pathlib import Path
from typing import Any

from analysis.io.load import PlannedStudy
from analysis.report.training_length import length_sentences
from study.config.definition import load_study


def sentences(*arguments: Any, **settings: Any) -> list[str]:
    spec = load_study(*arguments, **settings).document()
    return length_sentences(PlannedStudy("", "", {}, {}, "dice", {}, Path(), (), spec=spec))


def test_equal_epochs_as_in_the_paper_and_equal_steps_by_choice():
    assert sentences("saeed2022_camus", profile="paper") == [
        "Fine-tuning has equal epochs: 100 passes over the labelled images, so that fewer labels train for fewer steps."
    ]
    assert sentences("saeed2022_camus", profile="paper", sets=["downstream.fit.steps_per_epoch=5"]) == [
        "Fine-tuning has equal steps: 500 at every number of labels."
    ]


def test_a_factor_of_both_names_its_levels():
    both = sentences("saeed2022_camus", profile="cpu")
    assert both == [
        "Fine-tuning at length=epochs has equal epochs: 10 passes over the labelled images, so that fewer labels train "
        "for fewer steps.",
        "Fine-tuning at length=steps has equal steps: 750 at every number of labels.",
    ]


def test_a_study_with_one_number_of_labels_says_nothing():
    assert sentences("saeed2022_camus", sets=["factors.downstream.label_fraction=[1.0]"]) == []
