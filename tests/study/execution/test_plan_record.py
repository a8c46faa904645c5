from pathlib import Path

import pytest
import torch

from study.config.definition import load_study
from study.execution.plan_record import MAX_DIFFERENCES, describe, refuse_changes
from study.planning.datasets import Dataset
from study.planning.plan import Plan
from study.storage.workspace import StudyFolder
from trainables.common.errors import UserError
from trainables.common.files import write_json
from trainables.data.settings import DataSettings
from trainables.data.store.prepare import prepare
from trainables.phantom import PhantomSettings, write_echonet

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
        (("replicates={runs: 2, pretrainings: 2}",), "replicates.pretrainings: 1 -> 2"),
        (("downstream.fit.batch_size=4",), "downstream.fit.batch_size: 8 -> 4"),
    ],
)
def test_a_change_of_results_is_refused_with_its_place(started, sets, place):
    with pytest.raises(UserError, match="started with another study file") as error:
        refuse_changes(started, load_study(TINY, sets=sets))
    assert place in str(error.value)
    assert "--name" in str(error.value)
    assert len(str(error.value).splitlines()) <= MAX_DIFFERENCES + 2


@pytest.mark.parametrize(
    ("sets", "place", "options"),
    [
        (("replicates=1",), "replicates.runs: 2 -> 1", "--replicates 2"),
        (("search.trials=2",), "search.trials: 3 -> 2", "--trials 3"),
        (("search.trials=2", "replicates=1"), "search.trials: 3 -> 2", "--replicates 2 --trials 3"),
    ],
)
def test_fewer_jobs_than_planned_are_refused_with_the_command_that_goes_on(started, sets, place, options):
    with pytest.raises(UserError, match="more jobs planned than this study file asks for") as error:
        refuse_changes(started, load_study(TINY, sets=sets))
    assert place in str(error.value)
    assert f"(study extend tiny {options})" in str(error.value)
    with pytest.raises(UserError, match="started with another study file"):
        refuse_changes(started, load_study(TINY, sets=(*sets, "seed=1")))


def test_the_record_has_the_labels_of_each_cell(tmp_path):
    write_echonet(tmp_path / "data", PhantomSettings(subjects=10, frames=8, size=32, fractions=(0.4, 0.4, 0.2)))
    store = prepare(DataSettings(path=str(tmp_path / "data"), image_size=32), None, tmp_path / "s", b"key")
    sets = ["factors.pretext.method=[random]", "downstream.validation=same", "data.image_size=32"]
    record = describe(Plan(load_study(TINY, sets=sets), lambda settings: Dataset(str(store.folder), "x")))
    assert [cell["labels"] for cell in record["cells"]] == [
        {"training": 2, "validation": 2},
        {"training": 4, "validation": 4},
    ]
    assert torch.__version__.startswith(record["software"]["torch"])
    assert set(record["software"]) == {"pretext-study", "torch", "ray", "optuna"}
