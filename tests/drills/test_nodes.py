"""Studies on a Ray cluster of two nodes, both on this machine."""

import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest
from whole_studies import TINY, check_complete, command, final_metrics, finished, study

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


def test_a_pretraining_over_two_nodes_is_that_of_one_worker(cluster, uninterrupted, tmp_path):
    exact = ("--set", "pretext.fit.precision=float32", "--name", "tiny")
    one = study(tmp_path / "one", "run", str(TINY), *exact)
    assert one.returncode == 0, one.stderr
    sets = (*exact, "--set", "resources.pretext.workers=2", "--address", cluster.address)
    two = study(tmp_path / "two", "run", str(TINY), *sets)
    assert two.returncode == 0, two.stderr
    assert "Ray: 2 CPUs" in two.stderr
    check_complete(tmp_path / "two")
    alone, shared = (
        next(event.outcome.metrics for event in finished(Workspace(root).study("tiny")) if event.kind == "pretext")
        for root in (tmp_path / "one", tmp_path / "two")
    )
    for name in ("loss", "val/loss", "val/embedding_std"):
        assert shared[name] == pytest.approx(alone[name], rel=2e-2)


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
