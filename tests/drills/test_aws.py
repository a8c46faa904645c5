"""`ray up cluster.yaml` and `ray down` on an imitation of AWS on this machine; ssh and rsync only note their calls."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]

SSH = """#!/bin/bash
printf '%s\\n' "${*//$'\\n'/ }" >> "$CALLS/$(basename "$0")"
for word; do [[ $word == */ray-bootstrap-* ]] && cp "$word" "$CALLS/bootstrap.yaml"; done
exit 0
"""
"""Command in place of ssh and rsync: no packet leaves this machine. It keeps the configuration meant for the head."""

SET = {
    r"eu-central-1 # SET": "us-east-1",
    r"ami-0{17}": "{image}",
    r"sg-0{17}": "{group}",
    r"arn:aws:iam::0{12}:instance-profile/pretext-study": "{role}",
}
"""Values of the places of cluster.yaml that have to be set before `ray up` can make machines."""


@pytest.fixture
def calls(aws_server: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which calls of ssh and rsync are noted, for a home folder of its own."""
    folder = tmp_path / "calls"
    folder.mkdir()
    for name in ("ssh", "rsync"):
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(SSH)
        path.chmod(0o755)
    token = tmp_path / "home" / ".ray" / "auth_token"
    token.parent.mkdir(parents=True)
    token.write_text("f" * 64)
    for name, value in {
        "PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin",
        "HOME": str(tmp_path / "home"),
        "TMPDIR": str(tmp_path),
        "CALLS": str(folder),
        "RAY_USAGE_STATS_ENABLED": "0",
    }.items():
        monkeypatch.setenv(name, value)
    return folder


def ray(*arguments: str) -> None:
    """Run a command of Ray's command line."""
    command = [str(Path(sys.executable).parent / "ray"), *arguments]
    ran = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def instances() -> dict[str, dict[str, Any]]:
    """Return the machines that AWS has, by the name of their node type."""
    import boto3

    found = {}
    for reservation in boto3.client("ec2").describe_instances()["Reservations"]:
        for machine in reservation["Instances"]:
            tags = {tag["Key"]: tag["Value"] for tag in machine["Tags"]}
            found[tags["ray-user-node-type"]] = machine
    return found


def cluster_file(folder: Path) -> Path:
    """Write cluster.yaml with its places set to an image, a security group and a role that AWS has."""
    import boto3

    ec2, iam = boto3.client("ec2"), boto3.client("iam")
    group = {"GroupName": "pretext-study", "Description": "Ray nodes", "VpcId": ec2.describe_vpcs()["Vpcs"][0]["VpcId"]}
    values = {
        "image": ec2.describe_images()["Images"][0]["ImageId"],
        "group": ec2.create_security_group(**group)["GroupId"],
        "role": iam.create_instance_profile(InstanceProfileName="pretext-study")["InstanceProfile"]["Arn"],
    }
    text = (ROOT / "cluster.yaml").read_text()
    for place, value in SET.items():
        text, count = re.subn(place, value.format(**values), text)
        assert count
    path = folder / "cluster.yaml"
    path.write_text(text)
    return path


def start_worker(config: dict[str, Any], name: str) -> None:
    """Make a machine of a node type as the autoscaler on the head does, by the configuration that the head has."""
    from ray.autoscaler._private.providers import _get_node_provider

    provider = _get_node_provider(config["provider"], config["cluster_name"])
    tags = {"ray-node-type": "worker", "ray-user-node-type": name, "ray-node-status": "uninitialized"}
    provider.create_node(config["available_node_types"][name]["node_config"], tags, 1)


@pytest.mark.ray
@pytest.mark.drill
def test_a_cluster_comes_up_on_aws_and_goes_down_with_nothing_left(calls, tmp_path):
    import boto3

    path = cluster_file(tmp_path)
    given = yaml.safe_load(path.read_text())
    ray("up", "--yes", "--no-config-cache", str(path))
    assert set(instances()) == {"head"}

    said = (calls / "ssh").read_text()
    commands = [*given["setup_commands"], *given["head_start_ray_commands"]]
    places = [said.index(command) for command in commands if "'" not in command]  # these are quoted once more
    assert places == sorted(places)
    assert len(places) > 4
    assert ".ray/auth_token" in (calls / "rsync").read_text()

    config = yaml.safe_load((calls / "bootstrap.yaml").read_text())
    for name in ("gpu", "gpu-spot"):
        start_worker(config, name)
    found = instances()
    assert set(found) == {"head", "gpu", "gpu-spot"}
    assert {name: machine.get("InstanceLifecycle") for name, machine in found.items()} == {
        "head": None, "gpu": None, "gpu-spot": "spot",
    }  # fmt: skip
    volumes = boto3.client("ec2").describe_volumes()["Volumes"]
    for name, machine in found.items():
        node = given["available_node_types"][name]["node_config"]
        assert machine["InstanceType"] == node["InstanceType"]
        assert [group["GroupId"] for group in machine["SecurityGroups"]] == node["SecurityGroupIds"]
        role = node.get("IamInstanceProfile", {"Arn": "arn:aws:iam::123456789012:instance-profile/ray-autoscaler-v1"})
        assert machine["IamInstanceProfile"]["Arn"] == role["Arn"]
        (disk,) = [v for v in volumes for use in v["Attachments"] if use["InstanceId"] == machine["InstanceId"]]
        assert (disk["Size"], disk["Encrypted"]) == (200, True)

    ray("down", "--yes", str(path))
    assert {machine["State"]["Name"] for machine in instances().values()} == {"terminated"}
    assert "ray stop" in (calls / "ssh").read_text().splitlines()[-1]
