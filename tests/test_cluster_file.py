"""cluster.yaml as Ray itself reads it."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

CLUSTER = Path(__file__).parent.parent / "cluster.yaml"


def validated(config: dict[str, Any]) -> dict[str, Any]:
    from ray.autoscaler._private.util import prepare_config, validate_config

    prepared: dict[str, Any] = prepare_config(copy.deepcopy(config))
    validate_config(prepared)
    return prepared


def test_ray_up_accepts_the_cluster_file():
    prepared = validated(yaml.safe_load(CLUSTER.read_text()))
    assert prepared["head_node_type"] == "head"
    assert set(prepared["available_node_types"]) == {"head", "gpu", "gpu-spot"}


def test_ray_would_refuse_a_misspelt_key_in_it():
    config = yaml.safe_load(CLUSTER.read_text())
    config["head_node_typo"] = config.pop("head_node_type")
    with pytest.raises(Exception, match="head_node_typ"):
        validated(config)


def test_the_dashboard_is_not_public():
    commands = " ".join(yaml.safe_load(CLUSTER.read_text())["head_start_ray_commands"])
    assert "--dashboard-host 127.0.0.1" in commands
