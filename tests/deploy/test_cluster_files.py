"""The cluster files as Ray itself reads them; the Kubernetes manifest by its own rules."""

import copy
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
FILES = {"cluster.yaml": {"head", "gpu", "gpu-spot"}, "deploy/cluster.local.yaml": {"local.cluster.node"}}


def read(name: str) -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load((ROOT / name).read_text())
    return config


def validated(config: dict[str, Any]) -> dict[str, Any]:
    from ray.autoscaler._private.util import prepare_config, validate_config

    prepared: dict[str, Any] = prepare_config(copy.deepcopy(config))
    validate_config(prepared)
    return prepared


@pytest.mark.parametrize("name", FILES)
def test_ray_up_accepts_the_cluster_file(name):
    assert set(validated(read(name))["available_node_types"]) == FILES[name]


@pytest.mark.parametrize("name", FILES)
def test_ray_would_refuse_a_misspelt_key_in_it(name):
    config = read(name)
    config["head_start_ray_comands"] = config.pop("head_start_ray_commands")
    with pytest.raises(Exception, match="head_start_ray_comands"):
        validated(config)


@pytest.mark.parametrize("name", FILES)
def test_the_dashboard_is_not_public_and_everybody_shows_a_token(name):
    config = read(name)
    starts = [c for part in ("head", "worker") for c in config[f"{part}_start_ray_commands"] if "ray start" in c]
    assert len(starts) == 2
    assert "--dashboard-host 127.0.0.1" in starts[0]
    assert all("RAY_AUTH_MODE=token" in command for command in starts)
    assert "~/.ray/auth_token" in config["file_mounts"]


def test_the_kubernetes_manifest_is_a_ray_cluster_of_the_locked_version_behind_a_token():
    manifest = read("deploy/kuberay.yaml")
    assert (manifest["apiVersion"], manifest["kind"]) == ("ray.io/v1", "RayCluster")
    spec = manifest["spec"]
    locked = re.search(r"^ray==(\S+)$", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    assert locked is not None
    assert spec["rayVersion"] == locked[1]
    assert spec["authOptions"] == {"mode": "token"}
    assert spec["headGroupSpec"]["rayStartParams"]["dashboard-host"] == "127.0.0.1"
    for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"]):
        pod = group["template"]["spec"]
        volumes = {volume["name"] for volume in pod["volumes"]}
        for container in pod["containers"]:
            assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
            assert container["resources"]["limits"] == container["resources"]["requests"]
    (workers,) = spec["workerGroupSpecs"]
    assert workers["minReplicas"] <= workers["replicas"] <= workers["maxReplicas"]
