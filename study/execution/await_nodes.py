"""Wait until a new Ray cluster has all its nodes: `python -m study.execution.await_nodes HOST:PORT NODES`."""

from __future__ import annotations

import sys
import time

from study.execution.cluster import ray_session
from study.execution.head_watch import answers

TIMEOUT = 300.0
"""Seconds within which all nodes must have joined."""


def await_nodes(address: str, count: int, timeout: float = TIMEOUT) -> int:
    """Return the number of nodes that have joined, at most after some seconds.

    Args:
        address: HOST:PORT of the head.
        count: number of nodes to wait for.
        timeout: seconds to wait.
    """
    until, alive = time.monotonic() + timeout, 0
    while not answers(address) and time.monotonic() < until:
        time.sleep(1.0)
    with ray_session(address):
        import ray

        while time.monotonic() < until:
            alive = sum(bool(node["Alive"]) for node in ray.nodes())
            if alive >= count:
                break
            time.sleep(1.0)
    return alive


def main() -> int:
    """Wait for the nodes that the arguments name; return 0 if all have joined."""
    address, count = sys.argv[1], int(sys.argv[2])
    alive = await_nodes(address, count)
    if alive < count:
        sys.stderr.write(f"error: {alive} of {count} nodes have joined {address} within {TIMEOUT:g} s\n")
    return 0 if alive >= count else 4


if __name__ == "__main__":
    sys.exit(main())
