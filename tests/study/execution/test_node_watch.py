import pytest

from study.execution.errors import ClusterLost
from study.execution.node_watch import NODE_LOSS_TIMEOUT, NodeWatch


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_cluster_may_be_without_nodes_for_a_while_but_not_longer():
    alive, clock = {"Alive": True}, Clock()
    watch = NodeWatch(lambda: [alive, {"Alive": False}], clock)
    watch.check()
    assert watch.lost_since is None
    alive["Alive"] = False
    watch.check()
    assert watch.lost_since == 0.0
    clock.now = NODE_LOSS_TIMEOUT
    watch.check()
    clock.now += 1
    with pytest.raises(ClusterLost, match="no node left"):
        watch.check()


def test_a_node_that_comes_back_ends_the_wait():
    alive, clock = {"Alive": False}, Clock()
    watch = NodeWatch(lambda: [alive], clock)
    watch.check()
    alive["Alive"], clock.now = True, 100.0
    watch.check()
    alive["Alive"] = False
    watch.check()
    assert watch.lost_since == 100.0
