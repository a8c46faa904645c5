"""GPUs of a study whose file leaves them open, on this machine and on a cluster."""

import contextlib
import json
from types import SimpleNamespace

import pytest
from whole_studies import TINY

from study.config.definition import load_study
from study.execution import gpus, launch
from study.execution.errors import ClusterLost
from study.storage.workspace import Workspace


class Messages:
    """Progress display that keeps its messages."""

    def __init__(self):
        self.lines = []

    def message(self, line):
        self.lines.append(line)


@pytest.fixture
def cluster(monkeypatch):
    """Clusters by address with their number of GPUs, and the addresses that were joined."""
    found = SimpleNamespace(gpus={"head:6379": 2.0}, joined=[])

    @contextlib.contextmanager
    def session(address):
        if address not in found.gpus:
            raise ClusterLost(f"the Ray cluster at '{address}' cannot be joined")
        found.joined.append(address)
        yield {"CPU": 4.0, "GPU": found.gpus[address]}

    monkeypatch.setattr(gpus, "ray_session", session)
    monkeypatch.setattr(gpus, "local_resources", lambda: {"CPU": 4.0, "GPU": 0.0})
    return found


def test_the_gpus_of_the_cluster_count_and_not_those_of_the_driver(cluster):
    study, shown = load_study(str(TINY)), Messages()
    assert gpus.with_gpus(study, None, shown).spec.resources.downstream.gpus == 0
    assert not cluster.joined
    assert not shown.lines
    assert gpus.with_gpus(study, "head:6379", shown).spec.resources.downstream.gpus == 1
    assert cluster.joined == ["head:6379"]
    assert shown.lines == ["GPUs for each worker (auto): pretext 1, registration 1, downstream 1"]


def test_a_cluster_that_grows_has_the_gpus_of_its_largest_size(cluster):
    cluster.gpus["head:6379"] = 0.0
    study = load_study(str(TINY), sets=["resources.max={cpus: 32, gpus: 8}"])
    assert gpus.with_gpus(study, "head:6379", Messages()).spec.resources.pretext.gpus == 1


def test_no_cluster_is_joined_for_a_study_that_leaves_nothing_open(cluster):
    open_ = [f"resources.{stage}.gpus=1" for stage in ("pretext", "registration", "downstream")]
    study = load_study(str(TINY), sets=open_)
    assert gpus.with_gpus(study, "gone:1", Messages()) is study


def test_a_study_that_has_begun_keeps_its_gpus_where_the_cluster_is_gone(cluster, tmp_path):
    study = load_study(str(TINY))
    folder = Workspace(tmp_path).create().study("tiny")
    with pytest.raises(ClusterLost):
        launch._with_gpus(study, folder, "gone:1", Messages())
    chosen = gpus.with_gpus(study, "head:6379", Messages())
    folder.root.mkdir(parents=True, exist_ok=True)
    folder.plan.write_text(json.dumps({"spec": chosen.document()}))
    kept = launch._with_gpus(study, folder, "gone:1", Messages())
    assert kept.spec.resources == chosen.spec.resources
