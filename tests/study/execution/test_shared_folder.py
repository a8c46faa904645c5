"""The check that all nodes of a cluster share a folder."""

from pathlib import Path
from types import SimpleNamespace
from unittest.mock import create_autospec

import pytest
import ray

from study.execution import shared_folder
from study.execution.errors import FolderNotShared
from study.execution.shared_folder import look, require_here, require_shared
from study.storage.remote import JobPaths


def node(name: str, *, alive: bool = True) -> dict[str, object]:
    return {"NodeID": name, "NodeManagerHostname": name, "NodeManagerAddress": f"10.0.0.{name[-1]}", "Alive": alive}


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Nodes of a fake cluster and what each answers; this process is on node1."""
    made = SimpleNamespace(nodes=[node("node1")], answers={})
    context = SimpleNamespace(get_node_id=lambda: "node1")
    monkeypatch.setattr(ray, "get_runtime_context", create_autospec(ray.get_runtime_context, return_value=context))
    monkeypatch.setattr(ray, "nodes", create_autospec(ray.nodes, side_effect=lambda: made.nodes))

    def ask(nodes, marker, token):
        made.asked = [each["NodeID"] for each in nodes]
        made.seen_here = look(str(marker), token, timeout=0)
        return made.answers

    monkeypatch.setattr(shared_folder, "ask_nodes", create_autospec(shared_folder.ask_nodes, side_effect=ask))
    return made


def test_a_single_node_and_a_study_without_a_shared_folder_ask_nobody(cluster, tmp_path):
    require_shared(tmp_path)
    cluster.nodes = [node("node1"), node("node2", alive=False)]
    require_shared(tmp_path)
    cluster.nodes = [node("node1"), node("node2")]
    require_shared(None)
    shared_folder.ask_nodes.assert_not_called()


def test_nodes_that_find_the_marker_or_do_not_answer_are_accepted(cluster, tmp_path):
    cluster.nodes = [node("node1"), node("node2"), node("node3")]
    cluster.answers = {"node2": ""}
    require_shared(tmp_path)
    assert (cluster.asked, cluster.seen_here) == (["node2", "node3"], "")
    assert list(tmp_path.iterdir()) == []


def test_nodes_that_lack_the_folder_are_named_with_the_fix(cluster, tmp_path):
    cluster.nodes = [node("node1"), node("node2"), node("node3")]
    cluster.answers = {"node2": "", "node3": "found no such folder"}
    with pytest.raises(FolderNotShared, match=r"Fix: .*--workspace.* or set `storage`") as refused:
        require_shared(tmp_path)
    assert str(refused.value).startswith(f"{tmp_path}: not shared by all nodes of the cluster (node node3 (10.0.0.3): ")
    assert "node2" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_a_node_says_what_it_found(tmp_path, monkeypatch):
    marker = tmp_path / "marker"
    assert look(str(tmp_path / "nowhere" / "marker"), "abc", timeout=0) == "found no such folder"
    assert look(str(marker), "abc", timeout=0) == "found another folder of this path"
    marker.write_text("of an earlier launch")
    assert look(str(marker), "abc", timeout=0) == "found another folder of this path"
    assert look(str(marker / "below"), "abc", timeout=0) == "found Not a directory"
    marker.write_text("abc")
    assert look(str(marker), "abc", timeout=0) == ""
    monkeypatch.setattr(shared_folder.os, "access", lambda path, mode: False)
    assert look(str(marker), "abc", timeout=0) == "found a folder that it may not write"


def test_a_node_waits_for_a_network_file_system_that_caches_names(tmp_path, monkeypatch):
    marker = tmp_path / "marker"
    monkeypatch.setattr(shared_folder.time, "sleep", lambda seconds: marker.write_text("abc"))
    assert look(str(marker), "abc") == ""


def test_a_job_on_a_node_without_the_folder_ends_with_an_error_that_the_driver_reads(tmp_path):
    require_here(None)
    require_here(tmp_path)
    with pytest.raises(FolderNotShared, match="found no such folder") as refused:
        require_here(tmp_path / "nowhere")
    told = RuntimeError(
        f"Traceback ...\nray.RayTaskError: x\nstudy.execution.errors.FolderNotShared: {refused.value}\n"
    )
    assert str(FolderNotShared.parse(told)) == str(refused.value)
    assert FolderNotShared.parse(RuntimeError("the actor died")) is None
    assert FolderNotShared.parse(None) is None


@pytest.mark.parametrize(
    ("storage", "expected"),
    [(None, "/runs/studies/tiny"), ("/store", "/store"), ("file:///store/x", "/store/x"), ("s3://bucket/x", None)],
)
def test_the_shared_folder_is_the_studys_or_the_store(storage, expected):
    paths = JobPaths("tiny", "/runs/studies/tiny/jobs", "/runs/artifacts", storage)
    assert paths.shared_folder == (Path(expected) if expected else None)
