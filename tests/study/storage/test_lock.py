import fcntl
import multiprocessing
import os
import signal
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from study.storage.lock import Locked, driver_lock


def hold(path: Path, pipe: Connection) -> None:
    with driver_lock(path):
        pipe.send("held")
        pipe.recv()


def test_a_second_driver_is_refused_with_the_name_of_the_first(tmp_path):
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    path = tmp_path / "quickstart" / "driver.lock"
    holder = context.Process(target=hold, args=(path, there))
    holder.start()
    assert here.recv() == "held"
    with (
        pytest.raises(Locked, match=rf"'quickstart' is already being run .*pid {holder.pid}\b"),
        driver_lock(path),
    ):
        pass
    assert holder.pid is not None
    os.kill(holder.pid, signal.SIGKILL)
    holder.join()
    with driver_lock(path):  # the system released the dead process's lock
        pass


def test_a_refused_study_leaves_no_folder(tmp_path):
    path = tmp_path / "quickstart" / "driver.lock"
    with pytest.raises(KeyError), driver_lock(path):
        raise KeyError
    assert not path.parent.exists()
    with driver_lock(path):
        (path.parent / "plan.json").touch()
    assert path.exists()


def test_a_lock_file_that_was_removed_meanwhile_is_no_lock(tmp_path, monkeypatch):
    path = tmp_path / "quickstart" / "driver.lock"
    lock = fcntl.flock
    monkeypatch.setattr(fcntl, "flock", lambda file, how: (path.unlink(), lock(file, how)))
    with pytest.raises(Locked, match="ended just now"), driver_lock(path):
        pass
