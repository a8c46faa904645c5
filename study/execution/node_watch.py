"""Watch over a cluster's nodes: a sweep ends when none is left."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from study.execution.errors import ClusterLost

NO_NODE = "the Ray cluster has no node left. Fix: start a node, then run the same command again."

NODE_LOSS_TIMEOUT = 45.0
"""Seconds for which a cluster may have no node before the sweep ends; Tune itself would wait for ever."""


@dataclass
class NodeWatch:
    """Time since when a cluster has no node.

    Attributes:
        nodes: function that returns the cluster's nodes, each with a key "Alive".
        clock: function that returns monotonic seconds.
        lost_since: clock time since when no node is alive; None while one is.
    """

    nodes: Callable[[], Sequence[dict[str, Any]]]
    clock: Callable[[], float]
    lost_since: float | None = None

    def check(self) -> None:
        """Look at the nodes.

        Raises:
            ClusterLost: no node has been alive for `NODE_LOSS_TIMEOUT` seconds.
        """
        if any(node["Alive"] for node in self.nodes()):
            self.lost_since = None
        elif self.lost_since is None:
            self.lost_since = self.clock()
        elif self.clock() - self.lost_since > NODE_LOSS_TIMEOUT:
            raise ClusterLost(NO_NODE)
