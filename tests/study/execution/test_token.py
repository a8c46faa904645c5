"""Token authentication of Ray on this machine."""

import http.client
import os
import stat
import urllib.error
import urllib.request

import psutil
import pytest

from study.execution.cluster import ray_session
from study.execution.health import exposed, listening
from study.execution.token import MODE, TOKEN, TOKEN_PATH, private_token, require_token


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (MODE, TOKEN, TOKEN_PATH):
        monkeypatch.setenv(name, "")  # so that it is as before afterwards
        monkeypatch.delenv(name)


def test_only_this_user_may_read_the_token():
    path = private_token()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert len(path.read_text()) == 64
    assert private_token() == path


@pytest.mark.parametrize("mode", [None, "disabled"])
def test_a_local_start_asks_for_a_token_whatever_ray_does_by_default(environment, monkeypatch, mode):
    if mode is not None:
        monkeypatch.setenv(MODE, mode)
    require_token()
    assert (os.environ[MODE], os.environ[TOKEN_PATH]) == ("token", str(private_token()))


def test_a_token_of_the_environment_is_used(environment, monkeypatch):
    monkeypatch.setenv(TOKEN, "mine")
    require_token()
    assert TOKEN_PATH not in os.environ


@pytest.mark.ray
@pytest.mark.slow
def test_the_ports_of_a_session_answer_nobody_without_the_token(environment):
    with ray_session(None) as resources:
        assert resources["CPU"]
        below = psutil.Process().children(recursive=True)
        mine = {each.laddr.port for process in below for each in process.net_connections(kind="tcp")}
        listeners = [each for each in listening() if each.port in mine]
        refused = [each for each in listeners if _status(each.port, "/api/jobs/") == 401]
        assert any("dashboard" in each.command.lower() for each in refused)
        assert not [finding for finding in exposed(listeners) if finding.verdict == "error"]
        assert any("raylet" in finding.text and "gcs_server" in finding.text for finding in exposed(listeners))


def _status(port: int, path: str) -> int:
    """Return the HTTP status of a request without a token; 0 where no HTTP is spoken."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=3) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except (OSError, http.client.HTTPException):
        return 0
