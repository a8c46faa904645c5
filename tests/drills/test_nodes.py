"""Studies on a Ray cluster of two nodes, both on this machine."""

import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest
from whole_studies import TINY, check_complete, command, final_metrics, finished, pretext_metrics, study

from study.storage.workspace import Workspace

pytestmark = [pytest.mark.ray, pytest.mark.drill]


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A head and a second node with a CPU each."""
    monkeypatch.setenv("RAY_health_check_period_ms", "500")
    monkeypatch.setenv("RAY_health_check_failure_threshold", "4")
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "object_store_memory": 10**8})
    made.add_node(num_cpus=1, object_store_memory=10**8)
    made.wait_for_nodes()
    yield made
    made.shutdown()


def test_pretraining_on_two_nodes_equals_one_worker(cluster, uninterrupted, tmp_path):
    ran = study(tmp_path, "run", str(TINY), "--set", "resources.pretext.workers=2", "--address", cluster.address)
    assert ran.returncode == 0, ran.stderr
    assert "Ray: 2 CPUs" in ran.stderr
    check_complete(tmp_path)
    two, one = (pretext_metrics(Workspace(root).study("tiny")) for root in (tmp_path, uninterrupted))
    for name in ("loss", "val/loss", "val/embedding_std"):
        assert two[name] == pytest.approx(one[name], rel=2e-2)


def test_a_node_that_dies_in_the_middle_of_its_jobs_costs_nothing_but_time(cluster, uninterrupted, tmp_path):
    (second,) = cluster.worker_nodes
    driver = subprocess.Popen(
        command(tmp_path, "run", str(TINY), "--address", cluster.address),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    folder = Workspace(tmp_path).study("tiny")
    while driver.poll() is None and (not folder.ledger.exists() or len(finished(folder)) < 5):
        time.sleep(0.05)
    cluster.remove_node(second, allow_graceful=False)
    _, message = driver.communicate(timeout=300)
    assert driver.returncode == 0, message
    check_complete(tmp_path)
    assert final_metrics(folder) == final_metrics(Workspace(uninterrupted).study("tiny"))
