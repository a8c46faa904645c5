"""Wait until a new Ray cluster has all its nodes: `python -m study.execution.await_nodes HOST:PORT NODES`."""

from __future__ import annotations

import contextlib
import sys
import time

from study.execution.cluster import ray_session
from study.execution.errors import ClusterLost

TIMEOUT = 300.0
"""Seconds within which all nodes must have joined."""

CHECK_INTERVAL = 0.5
"""Seconds between two looks at the nodes."""


def await_nodes(address: str, count: int, timeout: float = TIMEOUT) -> int:
    """Return the number of nodes that have joined, at most after some seconds.

    Args:
        address: HOST:PORT of the head.
        count: number of nodes to wait for.
        timeout: seconds to wait.
    """
    until, alive = time.monotonic() + timeout, 0
    while alive < count and time.monotonic() < until:
        # a head that answers may not know itself yet, and cannot be joined
        with contextlib.suppress(ClusterLost), ray_session(address):
            import ray

            while alive < count and time.monotonic() < until:
                alive = sum(bool(node["Alive"]) for node in ray.nodes())
                time.sleep(CHECK_INTERVAL)
        time.sleep(CHECK_INTERVAL)
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
