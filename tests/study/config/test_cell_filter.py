"""`exclude` and `only`: cells that a study leaves out."""

import re

import pytest

from study.config.definition import load_study
from study.config.plain import plain
from study.config.problems import SpecError
from study.planning.plan import Plan


def cells(*sets: str) -> list[str]:
    return [cell.key for cell in load_study("quickstart", sets=sets).cells()]


def test_excluded_cells_are_left_out():
    kept = cells("exclude=[{method: byol, labels: 3}, {method: simclr}]")
    assert kept == [
        "method=random,labels=3",
        "method=random,labels=20",
        "method=byol,labels=20",
    ]


def test_only_keeps_and_exclude_wins():
    kept = cells("only=[{method: [random, byol]}]", "exclude=[{labels: '20'}]")
    assert kept == ["method=random,labels=3", "method=byol,labels=3"]


def test_the_plan_has_no_job_of_an_excluded_cell():
    plan = Plan(load_study("quickstart", sets=["exclude=[{method: simclr}]"]))
    assert plan.planned() == {"pretext": 1, "trial": 16, "replicate": 24}


def test_studies_without_either_are_described_as_before():
    assert not {"exclude", "only"} & plain(load_study("quickstart").spec).keys()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("exclude=[{metod: byol}]", "exclude[0].metod: the study has no factor 'metod'; did you mean 'method'?"),
        ("only=[{method: bjol}]", "only[0].method: the factor 'method' has no level 'bjol'; did you mean 'byol'?"),
        ("exclude=[{method: [random, simclr, byol]}]", "exclude and only leave no cell"),
        ("exclude=[{}]", "exclude[0]: found {}, expected a level by factor"),
        ("only=[5]", "only[0]: found 5, expected a mapping"),
        ("exclude=3", "found 3, expected a list"),
    ],
)
def test_mistakes_are_named_with_their_place(text, problem):
    with pytest.raises(SpecError, match=re.escape(problem)):
        load_study("quickstart", sets=[text])
