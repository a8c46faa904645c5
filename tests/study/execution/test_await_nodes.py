"""The wait for the nodes of a cluster that is being started."""

import contextlib
import socket
from unittest.mock import create_autospec

import pytest
import ray

from study.execution import await_nodes
from study.execution.errors import ClusterLost


@pytest.fixture
def head(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(
        await_nodes, "ray_session", create_autospec(await_nodes.ray_session, return_value=contextlib.nullcontext())
    )
    monkeypatch.setattr(await_nodes.time, "sleep", lambda seconds: None)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


def test_all_nodes_are_waited_for(head, monkeypatch):
    counts = iter([1, 1, 3])
    nodes = create_autospec(ray.nodes, side_effect=lambda: [{"Alive": True}] * next(counts) + [{"Alive": False}])
    monkeypatch.setattr(ray, "nodes", nodes)
    assert await_nodes.await_nodes(head, 3) == 3


def test_a_head_that_cannot_be_joined_yet_is_tried_again(head, monkeypatch):
    await_nodes.ray_session.side_effect = [ClusterLost("not yet"), contextlib.nullcontext()]
    monkeypatch.setattr(ray, "nodes", create_autospec(ray.nodes, return_value=[{"Alive": True}]))
    assert await_nodes.await_nodes(head, 1) == 1


def test_a_node_that_does_not_come_is_an_error_with_the_number_that_has(head, monkeypatch, capsys):
    monkeypatch.setattr(ray, "nodes", create_autospec(ray.nodes, return_value=[{"Alive": True}]))
    monkeypatch.setattr(await_nodes.await_nodes, "__defaults__", (0.01,))
    monkeypatch.setattr(await_nodes.sys, "argv", ["await_nodes", head, "2"])
    assert await_nodes.main() == 4
    assert f"1 of 2 nodes have joined {head}" in capsys.readouterr().err
