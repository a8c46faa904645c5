from pathlib import Path

import pytest

from study.config.definition import load_study
from study.execution.plan_record import MAX_DIFFERENCES, refuse_changes
from study.storage.workspace import StudyFolder
from trainables.common.errors import UserError
from trainables.common.files import write_json

TINY = str(Path(__file__).parents[1] / "tiny.yaml")


@pytest.fixture
def started(tmp_path):
    folder = StudyFolder(tmp_path / "tiny")
    folder.root.mkdir()
    refuse_changes(folder, load_study(TINY))  # nothing to compare with yet
    write_json(folder.plan, {"spec": load_study(TINY).document()})
    return folder


@pytest.mark.parametrize(
    "sets",
    [
        (),
        ("replicates=9",),
        ("search.trials=9",),
        ("title=another",),
        ("resources.downstream.cpus=2",),
        ("budget.hours=1",),
        ("pretext.guard=warn",),
    ],
)
def test_what_changes_no_result_may_change(started, sets):
    refuse_changes(started, load_study(TINY, sets=sets))


@pytest.mark.parametrize(
    ("sets", "place"),
    [
        (("seed=1",), "seed: 0 -> 1"),
        (("replicates=1",), "replicates.runs: 2 -> 1"),
        (("replicates={runs: 2, pretrainings: 2}",), "replicates.pretrainings: 1 -> 2"),
        (("search.trials=2",), "search.trials: 3 -> 2"),
        (("downstream.fit.batch_size=4",), "downstream.fit.batch_size: 8 -> 4"),
    ],
)
def test_a_change_of_results_is_refused_with_its_place(started, sets, place):
    with pytest.raises(UserError, match="started with another study file") as error:
        refuse_changes(started, load_study(TINY, sets=sets))
    assert place in str(error.value)
    assert "--name" in str(error.value)
    assert len(str(error.value).splitlines()) <= MAX_DIFFERENCES + 2
