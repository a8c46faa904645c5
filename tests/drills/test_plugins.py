"""A study whose components are all a plug-in's, on two nodes."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from whole_studies import command, final_metrics, finished, study

from study.storage.workspace import Workspace

pytestmark = [pytest.mark.ray, pytest.mark.drill]

EXAMPLES = Path(__file__).parent.parent.parent / "examples" / "plugins"


@pytest.fixture
def examples(tmp_path) -> Path:
    folder = tmp_path / "mine"
    shutil.copytree(EXAMPLES, folder)
    subprocess.run([sys.executable, "make_data.py", "data"], cwd=folder, check=True)
    return folder


def test_a_study_of_plugins_alone_is_killed_on_two_nodes_and_ends_like_an_undisturbed_one(examples, tmp_path):
    from ray.cluster_utils import Cluster

    arguments = ("run", str(examples / "study.yaml"), "--data", f"npz={examples / 'data'}")
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    ran = study(whole, *arguments)
    assert ran.returncode == 0, ran.stderr
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "object_store_memory": 10**8})
    try:
        cluster.add_node(num_cpus=1, object_store_memory=10**8)
        cluster.wait_for_nodes()
        driver = subprocess.Popen(
            command(killed, *arguments, "--address", cluster.address),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        folder = Workspace(killed).study("plugins")
        while driver.poll() is None and (not folder.ledger.exists() or len(finished(folder)) < 3):
            time.sleep(0.1)
        driver.kill()
        driver.wait()
        shutil.rmtree(examples / "my_components" / "__pycache__", ignore_errors=True)
        again = study(killed, *arguments, "--address", cluster.address)
        assert again.returncode == 0, again.stderr
    finally:
        cluster.shutdown()
    assert len(finished(folder)) == 10
    assert final_metrics(folder) == final_metrics(Workspace(whole).study("plugins"))
    shutil.rmtree(examples)  # the record is enough
    report = study(killed, "report", "plugins")
    assert report.returncode == 0, report.stderr
    assert "area_error" in report.stdout
