import socket

import pytest

from study.cluster import ClusterLost, capacity, preflight, ray_session
from study.declaration.spec import Capacity
from study.jobs import Need
from trainables.errors import UserError


def test_what_can_never_be_placed_is_refused_with_the_numbers():
    with pytest.raises(UserError, match=r"resources\.pretext: 2 worker\(s\) with 4 gpus each need 8 gpus, .* has 1"):
        preflight([("pretext", Need(workers=2, cpus=1, gpus=4))], {"CPU": 64.0, "GPU": 1.0})


def test_what_fits_passes():
    preflight([("pretext", Need(workers=2, cpus=1)), ("downstream", Need(gpus=0.5))], {"CPU": 2.0, "GPU": 1.0})


def test_a_cluster_that_is_not_there_is_told_at_once():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (
        pytest.raises(ClusterLost, match=rf"at '127.0.0.1:{port}' cannot be joined: .*refused"),
        ray_session(f"127.0.0.1:{port}"),
    ):
        pass


def test_an_autoscaling_cluster_counts_as_what_it_may_grow_to():
    now = {"CPU": 4.0, "memory": 1e9}
    assert capacity(now, None) == {"CPU": 4.0, "GPU": 0.0}
    assert capacity(now, Capacity(cpus=2, gpus=8)) == {"CPU": 4.0, "GPU": 8.0}
    preflight([("downstream", Need(gpus=0.5))], capacity(now, Capacity(gpus=8)))
