"""Check that all nodes of a cluster share the folder through which the jobs of a study exchange files."""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from study.execution.errors import FolderNotShared
from trainables.common.files import part_tag, write_text

CACHE_TIMEOUT = 10.0
"""Seconds for which a node looks for the marker file, as network file systems cache the names in a folder."""

ANSWER_TIMEOUT = 60.0
"""Seconds within which a node must answer; one that does not is left to the check of its first job."""


def require_shared(folder: Path | None) -> None:
    """Refuse a cluster with a node that does not share a folder of this machine; Ray must be running.

    Every other node looks for a marker file, so nodes that run on this machine pass. A single node is not asked.

    Args:
        folder: folder that jobs on all nodes read and write; None if they need none.

    Raises:
        FolderNotShared: the message names the nodes, the folder, what each node found, and the fix.
    """
    if folder is None:
        return
    here = ray.get_runtime_context().get_node_id()
    others = [node for node in ray.nodes() if node["Alive"] and node["NodeID"] != here]
    if not others:
        return
    marker, token = folder.absolute() / f".nodes.{part_tag()}", secrets.token_hex(16)
    write_text(marker, token)
    try:
        found = ask_nodes(others, marker, token)
    finally:
        marker.unlink(missing_ok=True)
    problems = [f"{node_name(node)}: {found[node['NodeID']]}" for node in others if found.get(node["NodeID"])]
    if problems:
        raise _error(marker.parent, problems)


def require_here(folder: Path | None) -> None:
    """Refuse to run a job on this node if it lacks a shared folder: it may have joined after `require_shared`.

    Args:
        folder: folder that all nodes share; None if jobs need none.

    Raises:
        FolderNotShared: the node has no such folder.
    """
    if folder is not None and not folder.is_dir():
        raise _error(folder, [f"node {socket.gethostname()}: found no such folder"])


def ask_nodes(nodes: list[dict[str, Any]], marker: Path, token: str) -> Mapping[str, str]:
    """Run `look` on each node; return the answers by node id, without nodes that died or did not answer in time."""
    task = ray.remote(num_cpus=0, max_retries=0)(look)
    asked = {}
    for node in nodes:
        there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        asked[task.options(scheduling_strategy=there).remote(str(marker), token)] = node["NodeID"]
    found = {}
    for answer in ray.wait(list(asked), num_returns=len(asked), timeout=ANSWER_TIMEOUT)[0]:
        try:
            found[asked[answer]] = ray.get(answer)
        except RayError:
            continue
    return found


def look(marker: str, token: str, timeout: float = CACHE_TIMEOUT) -> str:
    """Look for a marker file on this node; return what is wrong with its folder, or "".

    Args:
        marker: absolute path of the file.
        token: content that the file should have.
        timeout: seconds to wait for the file.
    """
    path, until = Path(marker), time.monotonic() + timeout
    while True:
        try:
            if path.read_text() == token:
                return "" if os.access(path.parent, os.W_OK) else "found a folder that it may not write"
            problem = "found another folder of this path"
        except FileNotFoundError:
            problem = "found another folder of this path" if path.parent.is_dir() else "found no such folder"
        except OSError as error:
            problem = f"found {error.strerror}"
        if time.monotonic() >= until:
            return problem
        time.sleep(0.5)


def node_name(node: Mapping[str, Any]) -> str:
    """Return the name and address of a node as `ray.nodes` describes it."""
    return f"node {node['NodeManagerHostname']} ({node['NodeManagerAddress']})"


def _error(folder: Path, problems: Sequence[str]) -> FolderNotShared:
    found = "; ".join(problems)
    return FolderNotShared(
        f"{folder}: not shared by all nodes of the cluster ({found}; expected the folder of the study's driver). "
        "Fix: put the workspace (--workspace) on storage that all nodes share, or set `storage` in the study file."
    )
