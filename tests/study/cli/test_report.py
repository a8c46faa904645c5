"""`study report --prepare`: the frame store of a study is built again, if the dataset is still the same."""

import json
from pathlib import Path

import pytest

from study.cli.app import app
from study.cli.main import guarded
from study.cli.report import prepare_frames
from study.config.plain import plain
from study.planning.jobs import Outcome
from study.storage.events import JobFinished
from study.storage.ledger import Ledger
from study.storage.workspace import StudyFolder, Workspace
from trainables.common.errors import UserError
from trainables.common.files import write_json
from trainables.data.settings import DataSettings
from trainables.data.store.frames import FrameStore
from trainables.data.store.prepare import prepare
from trainables.phantom import PhantomSettings

SETTINGS = DataSettings(phantom=PhantomSettings(subjects=6, frames=8, size=32), image_size=16)


@pytest.fixture
def place(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path)


@pytest.fixture
def folder(place: Workspace) -> StudyFolder:
    """Return a study that ran on a frame store which an older version wrote."""
    store = prepare(SETTINGS, None, place.data, place.subject_key(), workers=1)
    old = store.folder.rename(store.folder.with_name("echonet-old"))
    write_json(old / "meta.json", {**json.loads((old / "meta.json").read_text()), "version": 1})
    folder = place.study("mine")
    folder.job("a").root.mkdir(parents=True)
    spec = {"data": plain(SETTINGS), "a_key_of_an_older_version": 1}
    cells = [{"key": "cell", "levels": {}}]
    write_json(folder.plan, {"name": "mine", "spec": spec, "cells": cells, "frames": {"data": str(old)}})
    write_json(folder.job("a").config, {"config": {"data": store.fingerprint}})
    ledger = Ledger(folder.ledger, lambda: 0.0)
    ledger.append(JobFinished("a", "replicate", "cell", 0, {}, "digest", Outcome("completed", {}, 1, 1.0)))
    ledger.close()
    return folder


def test_the_plan_names_the_frame_store_that_was_built(folder, place):
    before = json.loads(folder.plan.read_text())
    prepare_frames(folder, place)
    after = json.loads(folder.plan.read_text())
    store = FrameStore.open(Path(after["frames"]["data"]))
    assert store.fingerprint == json.loads(folder.job("a").config.read_text())["config"]["data"]
    assert {**before, "frames": after["frames"]} == after
    prepare_frames(folder, place)
    assert json.loads(folder.plan.read_text()) == after


def test_other_frames_than_those_of_the_jobs_are_refused(folder, place):
    write_json(folder.job("a").config, {"config": {"data": "0" * 64}})
    before = folder.plan.read_text()
    with pytest.raises(UserError, match=r"not the frames that the study was run on .* expected 0{12}"):
        prepare_frames(folder, place)
    assert folder.plan.read_text() == before


def test_the_option_is_one_of_the_command(folder, place, capsys):
    code = guarded(lambda: app(["report", "other", "--prepare", "--workspace", str(place.root)], standalone_mode=False))
    assert (code, "no study 'other'" in capsys.readouterr().err) == (2, True)
