import os

import pytest

from analysis.io.choose import choose_study
from trainables.common.errors import UserError


def a_study(workspace, name, when):
    plan = workspace / "studies" / name / "plan.json"
    plan.parent.mkdir(parents=True)
    plan.write_text("{}")
    os.utime(plan, (when, when))


@pytest.fixture
def runs(tmp_path):
    """A workspace beside the folder of a notebook, in which `late` ran last."""
    for name, when in {"temporal_a": 10, "temporal_b": 20, "late": 30}.items():
        a_study(tmp_path / "runs", name, when)
    (tmp_path / "analysis" / "notebooks" / "runs").mkdir(parents=True)
    return tmp_path / "runs"


def test_the_last_study_of_the_nearest_workspace_is_read(runs):
    start = runs.parent / "analysis" / "notebooks"
    assert choose_study({}, start).root == runs / "studies" / "late"
    assert choose_study({}, start, prefer="temporal").name == "temporal_b"
    assert choose_study({}, start, prefer="ablation").name == "late"


def test_variables_name_workspace_and_study(runs, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    assert choose_study({"STUDY_HOME": str(runs), "STUDY": "temporal_a"}, elsewhere).name == "temporal_a"
    assert choose_study({"STUDY_HOME": str(runs)}, elsewhere).name == "late"
    with pytest.raises(UserError, match=r"no study 'early' \(found late, temporal_a, temporal_b\)"):
        choose_study({"STUDY_HOME": str(runs), "STUDY": "early"}, elsewhere)


def test_a_missing_workspace_says_what_to_set(tmp_path):
    with pytest.raises(UserError, match="Fix: set STUDY_HOME"):
        choose_study({}, tmp_path)
    with pytest.raises(UserError, match="no study has run"):
        choose_study({"STUDY_HOME": str(tmp_path)}, tmp_path)
