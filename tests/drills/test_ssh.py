"""`ray up deploy/cluster.local.yaml`, a study over two machines, and `ray down`, by real ssh between namespaces."""

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import machines
import psutil
import pytest
from machines import ADDRESSES, ROOT, Machines
from whole_studies import TINY, check_tracked, finished

from study.storage.workspace import Workspace

FILE = ROOT / "deploy" / "cluster.local.yaml"
SET = {
    r"max_workers: 3": "max_workers: 1",
    r"HEAD_ADDRESS": ADDRESSES["head"],
    r"WORKER_ADDRESS_1, WORKER_ADDRESS_2, WORKER_ADDRESS_3": ADDRESSES["worker"],
    r"ssh_user: USER": "ssh_user: root",
    r"ray start ": "ray start --num-cpus 1 ",  # so that no machine has room for all jobs
}
"""Values of the places of the cluster file, by what stands there."""

RUN = ".venv/bin/study run study.yaml --address auto"

pytestmark = [
    pytest.mark.ray,
    pytest.mark.drill,
    pytest.mark.skipif(bool(machines.missing()), reason=machines.missing()),
]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Machines]:
    """Two machines on which the repository and its environment are installed, and a desk with the cluster file."""
    made = Machines(tmp_path / "machines")
    try:
        for name in ADDRESSES:
            install(made.home(name) / "pretext-study")
        text = FILE.read_text()
        for place, value in SET.items():
            text, count = re.subn(place, value, text)
            assert count, place
        (made.home("desk") / "cluster.yaml").write_text(text)
        (made.home("desk") / "study.yaml").write_text(TINY.read_text())
        yield made
    finally:
        made.close()


def install(folder: Path) -> None:
    """Make what `git clone` and `make .venv/.ready` leave, of links to this repository and its environment."""
    environment = folder / ".venv"
    environment.mkdir(parents=True)
    for path in ROOT.iterdir():
        if not path.name.startswith("."):
            (folder / path.name).symlink_to(path)
    for path in Path(sys.prefix).iterdir():
        if path.name != ".ready":
            (environment / path.name).symlink_to(path)
    (environment / ".ready").touch()  # newer than what it is made from


def ray(desk: Machines, *arguments: str) -> str:
    """Run a command of Ray's command line at the desk; return what it printed."""
    ran = desk.at_desk("ray", *arguments, RAY_UP_enable_autoscaler_v2="0", RAY_USAGE_STATS_ENABLED="0")
    print(ran.stdout)
    assert ran.returncode == 0
    return ran.stdout


def on_head(desk: Machines, command: str) -> str:
    """Run a command on the head, as in a shell of `ray attach`; return what it printed."""
    return ray(desk, "exec", "cluster.yaml", command)


def of_ray(desk: Machines) -> Counter[str]:
    """Count Ray's processes on all machines by their kind."""
    kinds = re.compile(r"raylet/raylet|gcs_server|ray::|dashboard\.py|monitor\.py|agent/main\.py")
    found = [kinds.search(line) for line in desk.processes().values()]
    return Counter(match.group() for match in found if match)


def test_a_cluster_comes_up_by_ssh_completes_jobs_on_both_machines_and_goes_down(desk):
    ray(desk, "get-auth-token", "--generate")
    ray(desk, "up", "--yes", "--no-config-cache", "cluster.yaml")
    on_head(desk, "for i in {1..30}; do ray status | grep /2.0 && break; sleep 1; done")
    assert of_ray(desk)["raylet/raylet"] == 2
    ray(desk, "rsync-up", "cluster.yaml", "study.yaml", "pretext-study/study.yaml")
    refused = on_head(desk, f"cd pretext-study && {RUN} --workspace /tmp/runs; echo exit code $?")  # a /tmp each
    assert "exit code 4" in refused
    assert f"node worker ({ADDRESSES['worker']}): found no such folder" in " ".join(refused.split())
    assert "finished " not in refused
    # Few jobs, each longer than the worker takes to start its first process.
    longer = "--set replicates=1 --set search.trials=2 --set downstream.fit.epochs=40"
    assert "Ray: 2 CPUs" in on_head(desk, f"cd pretext-study && {RUN} --workspace {desk.shared} {longer}")

    events = finished(Workspace(desk.shared).study("study"))
    assert Counter(event.kind for event in events) == {"pretext": 1, "trial": 8, "replicate": 4}
    assert {event.outcome.status for event in events} <= {"completed", "stopped"}
    check_tracked(desk.shared, "study")
    assert {event.outcome.host for event in events if event.outcome.status == "completed"} == set(ADDRESSES)

    ray(desk, "down", "--yes", "cluster.yaml")
    assert of_ray(desk)["raylet/raylet"] == 1  # with machines of one's own, Ray stops the head only
    on_worker = ["ssh", "-o", "StrictHostKeyChecking=no", f"root@{ADDRESSES['worker']}"]
    stopped = desk.at_desk(*on_worker, "pretext-study/.venv/bin/ray stop")
    assert stopped.returncode == 0, stopped.stdout
    assert not of_ray(desk)


def test_machines_leave_nothing(desk):
    below = desk.processes()
    assert sum("[listener]" in line for line in below.values()) == len(ADDRESSES)
    desk.close()
    assert not any(psutil.pid_exists(pid) for pid in below)
    for listing in (["ip", "-brief", "address"], ["ip", "netns", "list"], ["mount"]):
        said = subprocess.run(listing, capture_output=True, text=True, check=True).stdout
        assert not re.search(f"10[.]77[.]0|{desk.folder}", said)
