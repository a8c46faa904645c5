import contextlib
import socket
from unittest.mock import create_autospec

import pytest
import ray

from study.config.resources import Capacity
from study.execution.cluster import _start_here, capacity, preflight, ray_session, unused_gpus
from study.execution.errors import ClusterLost
from study.planning.jobs import ResourceRequest
from trainables.common.errors import UserError


def test_requests_that_never_fit_are_refused_with_the_numbers():
    with pytest.raises(UserError, match=r"resources\.pretext: 2 worker\(s\) with 4 gpus each need 8 gpus, .* has 1"):
        preflight([("pretext", ResourceRequest(workers=2, cpus=1, gpus=4))], {"CPU": 64.0, "GPU": 1.0})


def test_requests_that_fit_are_accepted():
    preflight(
        [("pretext", ResourceRequest(workers=2, cpus=1)), ("downstream", ResourceRequest(gpus=0.5))],
        {"CPU": 2.0, "GPU": 1.0},
    )


def test_a_missing_cluster_is_an_error_at_once():
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
    preflight([("downstream", ResourceRequest(gpus=0.5))], capacity(now, Capacity(gpus=8)))


def test_gpus_that_no_stage_asks_for_are_worth_a_warning():
    none, half = (
        [("pretext", ResourceRequest())],
        [("pretext", ResourceRequest()), ("downstream", ResourceRequest(gpus=0.5))],
    )
    warning = unused_gpus(none, {"CPU": 8.0, "GPU": 8.0})
    assert warning.startswith("warning: all jobs train on CPUs")
    assert "(found 8). Fix: set gpus under resources" in warning
    assert unused_gpus(half, {"CPU": 8.0, "GPU": 8.0}) == unused_gpus(none, {"CPU": 8.0, "GPU": 0.0}) == ""


@pytest.mark.parametrize("failures", [0, 1, 2])
def test_a_failed_start_of_ray_is_retried_once(monkeypatch, failures):
    monkeypatch.setattr(ray, "shutdown", create_autospec(ray.shutdown))
    tries = []

    def start(**options):
        tries.append(options)
        if len(tries) <= failures:
            raise RuntimeError("the dashboard is late\nand more")

    with pytest.raises(ClusterLost, match="the dashboard is late; see") if failures == 2 else contextlib.nullcontext():
        _start_here(start)
    assert len(tries) == min(failures, 1) + 1
