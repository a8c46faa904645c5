import contextlib
import json
import os
import socket
import subprocess
import sys
from unittest.mock import create_autospec

import pytest

from study.cli.app import app
from study.cli.main import guarded
from study.execution import cluster, shared_folder
from study.execution.errors import ClusterLost, FolderNotShared
from study.execution.health import Finding, Listener, examine, exposed, listening
from study.storage.workspace import Workspace


def of(findings, subject):
    return [finding for finding in findings if finding.subject == subject]


def test_a_sound_machine_has_no_error_but_what_listens(tmp_path, capsys):
    code = guarded(lambda: app(["doctor", "--workspace", str(tmp_path), "--json"], standalone_mode=False))
    findings = json.loads(capsys.readouterr().out)
    errors = [finding for finding in findings if finding["verdict"] == "error"]
    assert all(finding["subject"] == "open port" for finding in errors)
    assert code == (4 if errors else 0)
    assert {"python", "torch", "ray", "GPU", "memory", "workspace", "disk", "MLflow"} <= {
        f["subject"] for f in findings
    }


@pytest.mark.parametrize(
    ("address", "command", "verdict"),
    [
        ("0.0.0.0", "python -m mlflow server --host 0.0.0.0", "error"),
        ("::", "/x/bin/mlflow ui", "error"),
        ("192.168.1.4", "/x/bin/python -u /x/site-packages/ray/dashboard/dashboard.py --host=0.0.0.0", "error"),
        ("127.0.0.1", "python -m mlflow server", "ok"),
        ("::1", "/x/site-packages/ray/dashboard/dashboard.py", "ok"),
        ("0.0.0.0", "nginx", "ok"),
    ],
)
def test_servers_that_others_can_reach_are_errors(address, command, verdict):
    (finding,) = exposed([Listener(address, 5000, command)])
    assert finding.verdict == verdict
    if verdict == "error":
        assert f"{address}:5000; bind it to 127.0.0.1" in finding.text


RAYLET = "/x/ray/core/src/ray/raylet/raylet --agent=/x/dashboard/agent.py --address=1"


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("/x/ray/core/src/ray/gcs/gcs_server --log_dir=/y", "gcs_server"),
        (RAYLET, "raylet"),
        ("ray::DashboardAgent", "dashboard agent"),
        ("python -u /x/ray/dashboard/agent.py --node-ip-address=1", "dashboard agent"),
        ("ray::RuntimeEnvAgent", "runtime environment agent"),
        ("ray::IDLE", "worker"),
        ("python -m ray.util.client.server --port=10001", "client server"),
    ],
)
def test_every_port_of_ray_is_judged_by_its_token(command, name):
    open_port, summary = exposed([Listener("0.0.0.0", 7, command, token=True)])
    assert (open_port.verdict, summary.verdict) == ("ok", "ok")
    assert f"Ray's {name} (1)" in open_port.text
    (finding,) = exposed([Listener("0.0.0.0", 7, command)])
    assert finding.verdict == "error"
    assert f"Ray's {name} listens on 0.0.0.0:7 and asks for no token" in finding.text
    (fine,) = exposed([Listener("127.0.0.1", 7, command)])
    assert fine.verdict == "ok"


def test_a_listening_server_is_found(tmp_path):
    script = tmp_path / "mlflow_server.py"
    script.write_text(
        "import socket, sys, time\n"
        "s = socket.create_server(('0.0.0.0', 0)); print(s.getsockname()[1], flush=True); time.sleep(60)\n"
    )
    server = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        found = [each for each in listening() if each.port == port]
        assert [each.address for each in found] == ["0.0.0.0"]
        assert [finding.verdict for finding in exposed(found)] == ["error"]
    finally:
        server.kill()


@pytest.fixture
def joined(monkeypatch):
    """Fakes of a session on a cluster and of the check of its nodes."""
    session = create_autospec(cluster.ray_session, return_value=contextlib.nullcontext({}))
    monkeypatch.setattr(cluster, "ray_session", session)
    monkeypatch.setattr(shared_folder, "require_shared", create_autospec(shared_folder.require_shared))


@pytest.mark.parametrize(
    ("error", "verdict"), [(None, "ok"), (FolderNotShared("node b"), "warning"), (ClusterLost("no token"), "error")]
)
def test_a_workspace_that_the_clusters_nodes_do_not_share_is_a_warning(tmp_path, joined, error, verdict):
    shared_folder.require_shared.side_effect = error
    with socket.create_server(("127.0.0.1", 0)) as head:
        address = f"127.0.0.1:{head.getsockname()[1]}"
        (finding,) = of(examine(Workspace(tmp_path), {"RAY_ADDRESS": address}), "shared workspace")
        assert (finding.verdict, finding.text) == (verdict, str(error or f"all nodes of {address} share {tmp_path}"))
        cluster.ray_session.assert_called_once_with(address)
        shared_folder.require_shared.assert_called_once_with(tmp_path)
        (missing,) = of(examine(Workspace(tmp_path / "new"), {"RAY_ADDRESS": address}), "shared workspace")
        assert missing.verdict == "ok"
    assert of(examine(Workspace(tmp_path), {}), "shared workspace") == []


def test_a_cluster_or_server_that_does_not_answer_is_named_without_its_password(tmp_path, joined):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        environment = {"RAY_ADDRESS": f"127.0.0.1:{port}"}
        assert of(examine(Workspace(tmp_path), environment), "Ray cluster")[0].verdict == "ok"
    environment |= {"MLFLOW_TRACKING_URI": f"http://user:secret@127.0.0.1:{port}"}
    findings = list(examine(Workspace(tmp_path), environment))
    assert of(findings, "Ray cluster")[0].verdict == "error"
    (tracking,) = of(findings, "MLflow")
    assert tracking.verdict == "warning"
    assert "secret" not in str(findings)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_workspace_that_cannot_be_written_is_an_error(tmp_path):
    tmp_path.chmod(0o500)
    assert Finding("workspace", "error", f"{tmp_path} cannot be written; name another with --workspace") in list(
        examine(Workspace(tmp_path / "runs"), {})
    )
