"""The cluster files as Ray itself reads them; the Kubernetes manifest by its own rules."""

import copy
import re
import shlex
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from study.config.definition import load_study

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


@pytest.mark.parametrize("name", FILES)
def test_no_node_sends_usage_statistics_and_ray_is_on_every_path(name):
    config = read(name)
    starts = [c for part in ("head", "worker") for c in config[f"{part}_start_ray_commands"] if "ray start" in c]
    assert all("--disable-usage-stats" in command for command in starts)
    (line,) = [command for command in config["setup_commands"] if "export PATH=" in command]
    shell = f"set -e; HOME=$PWD; echo 'last line' > .bashrc; {line}; {line}; cat .bashrc".replace("~", "$HOME")
    with tempfile.TemporaryDirectory() as home:
        ran = subprocess.run(["bash", "-c", shell], cwd=home, capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines() == ["export PATH=$HOME/pretext-study/.venv/bin:$PATH", "last line"]


def test_nodes_on_aws_have_room_a_private_ssh_and_workers_a_role():
    for name, node_type in read("cluster.yaml")["available_node_types"].items():
        node = node_type["node_config"]
        (disk,) = node["BlockDeviceMappings"]
        assert disk["Ebs"]["VolumeSize"] >= 100
        assert node["SecurityGroupIds"]
        assert ("IamInstanceProfile" in node) == (name != "head")


def test_the_local_file_says_with_which_autoscaler_it_works():
    assert "RAY_UP_enable_autoscaler_v2=0 ray up" in (ROOT / "deploy/cluster.local.yaml").read_text()
    assert "RAY_UP_enable_autoscaler_v2=0 ray up" in (ROOT / "docs/CLUSTER.md").read_text()


def test_the_job_on_kubernetes_runs_a_study_on_the_cluster_of_the_other_manifest():
    manifest = read("deploy/rayjob.yaml")
    assert (manifest["apiVersion"], manifest["kind"]) == ("ray.io/v1", "RayJob")
    spec = manifest["spec"]
    assert set(spec) == {
        "entrypoint", "submissionMode", "backoffLimit", "shutdownAfterJobFinishes", "ttlSecondsAfterFinished",
        "rayClusterSpec",
    }  # fmt: skip
    assert spec["submissionMode"] in ("K8sJobMode", "HTTPMode", "InteractiveMode", "SidecarMode")
    head = spec["rayClusterSpec"]["headGroupSpec"]
    mounts = {mount["name"]: mount["mountPath"] for mount in head["template"]["spec"]["containers"][0]["volumeMounts"]}
    words = shlex.split(spec["entrypoint"])
    assert words[:2] == ["study", "run"]
    assert words[2].startswith(f"{mounts['study']}/")
    options = dict(zip(words[3::2], words[4::2], strict=True)) | {"--set": ""}
    assert options == {"--address": "auto", "--workspace": f"{mounts['shared']}/runs", "--set": ""}
    sets = [words[number + 1] for number, word in enumerate(words) if word == "--set"]
    largest = load_study(str(ROOT / "tests/study/tiny.yaml"), sets=sets).spec.resources.max
    (workers,) = spec["rayClusterSpec"]["workerGroupSpecs"]
    limits = workers["template"]["spec"]["containers"][0]["resources"]["limits"]
    assert largest is not None
    assert largest.cpus == workers["maxReplicas"] * int(limits["cpu"])
    assert largest.gpus == workers["maxReplicas"] * int(limits["nvidia.com/gpu"])
    cluster = copy.deepcopy(spec["rayClusterSpec"])
    pod = cluster["headGroupSpec"]["template"]["spec"]
    pod["volumes"] = [volume for volume in pod["volumes"] if volume["name"] != "study"]
    container = pod["containers"][0]
    container["volumeMounts"] = [mount for mount in container["volumeMounts"] if mount["name"] != "study"]
    cluster["headGroupSpec"]["rayStartParams"]["dashboard-host"] = "127.0.0.1"
    assert cluster == read("deploy/kuberay.yaml")["spec"]


def test_the_kubernetes_manifest_is_a_ray_cluster_of_the_locked_version_behind_a_token():
    manifest = read("deploy/kuberay.yaml")
    assert (manifest["apiVersion"], manifest["kind"]) == ("ray.io/v1", "RayCluster")
    spec = manifest["spec"]
    locked = re.search(r"^ray==(\S+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
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


def test_the_slurm_script_is_signalled_before_its_limit_and_may_be_requeued():
    text = (ROOT / "deploy/slurm.sbatch").read_text()
    directives = re.findall(r"^#SBATCH --([a-z-]+)(?:=(\S+))?", text, re.MULTILINE)
    assert dict(directives) | {"signal": "B:TERM@120", "requeue": "", "ntasks-per-node": "1"} == dict(directives)
    assert text.index("#SBATCH --open-mode") < text.index("\nset -u")  # SLURM reads directives before the first command
    subprocess.run(["bash", "-n", str(ROOT / "deploy/slurm.sbatch")], check=True)
