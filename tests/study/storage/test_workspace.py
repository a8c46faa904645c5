"""A new workspace is private to its owner unless $STUDY_ACCESS says otherwise."""

import os
import stat
from pathlib import Path

import pytest

from study.execution.health import examine
from study.planning.calibration import Calibration
from study.storage.workspace import Workspace
from trainables.common.errors import UserError


@pytest.fixture(autouse=True)
def umask():
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode(path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize(
    ("access", "folder", "key"),
    [(None, 0o700, 0o600), ("private", 0o700, 0o600), ("group", 0o2770, 0o640), ("umask", 0o755, 0o600)],
)
def test_a_new_workspace_has_the_permissions_that_are_asked_for(tmp_path, monkeypatch, access, folder, key):
    monkeypatch.delenv("STUDY_ACCESS", raising=False)
    if access is not None:
        monkeypatch.setenv("STUDY_ACCESS", access)
    place = Workspace(tmp_path / "above" / "runs")
    assert place.subject_key() == place.subject_key()
    assert (mode(place.root), mode(place.key_file)) == (folder, key)
    assert mode(place.root.parent) == 0o755


def test_every_way_to_a_new_workspace_is_private(tmp_path):
    Workspace(tmp_path / "a").create()
    Calibration(tmp_path / "b" / "calibration.json").rate("x", lambda: 1.0)
    assert (mode(tmp_path / "a"), mode(tmp_path / "b")) == (0o700, 0o700)


def test_an_existing_workspace_is_left_and_reported(tmp_path, monkeypatch):
    place = Workspace(tmp_path / "runs")
    place.root.mkdir(mode=0o755)
    place.create()
    assert mode(place.root) == 0o755

    def told() -> list[str]:
        return [finding.text for finding in examine(place, {}) if finding.subject == "permissions"]

    assert told() == [
        f"{place.root} can be read by others; run chmod 700 {place.root}, or set STUDY_ACCESS=group for a shared one"
    ]
    monkeypatch.setenv("STUDY_ACCESS", "group")
    assert told() == []
    monkeypatch.delenv("STUDY_ACCESS")
    place.root.chmod(0o700)
    assert told() == []


def test_an_unknown_access_is_one_message(tmp_path, monkeypatch):
    monkeypatch.setenv("STUDY_ACCESS", "grup")
    with pytest.raises(UserError, match=r"\$STUDY_ACCESS: unknown value 'grup'; did you mean 'group'"):
        Workspace(tmp_path / "runs").create()


def test_a_workspace_that_cannot_be_made_is_a_clear_error():
    with pytest.raises(UserError, match="/proc/no/workspace: the folder cannot be made there"):
        Workspace(Path("/proc/no/workspace")).create()
