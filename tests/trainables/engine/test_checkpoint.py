import errno
import os
import threading
from unittest.mock import create_autospec

import pytest
import torch

from trainables.common.errors import CheckpointError
from trainables.engine.checkpoint import Checkpoints, PeriodicCheckpoint, load_tensors, save_tensors

DISK_FULL = OSError(errno.ENOSPC, "no space left on device")


def state(value: float) -> dict[str, object]:
    return {"weights": torch.full((3,), value), "epoch": 2, "history": [{"loss": 0.5}], "best": None}


def test_a_checkpoint_is_loaded_as_it_was_saved(tmp_path):
    saved, changing = Checkpoints(tmp_path), state(1.0)
    saved.save(changing)
    changing["weights"].zero_()  # training goes on
    saved.flush()
    loaded = Checkpoints(tmp_path).load()
    assert loaded is not None
    assert torch.equal(loaded["weights"], torch.ones(3))
    assert (loaded["epoch"], loaded["history"], loaded["best"]) == (2, [{"loss": 0.5}], None)


def test_training_continues_while_a_checkpoint_is_written(tmp_path, monkeypatch):
    may_write, done = threading.Event(), []
    monkeypatch.setattr("os.fsync", create_autospec(os.fsync, side_effect=lambda descriptor: may_write.wait(30)))
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(state(1.0), lambda: done.append(threading.current_thread().name))
    assert not (tmp_path / "checkpoint.pt").exists()
    assert not done
    may_write.set()
    checkpoints.flush()
    assert (tmp_path / "checkpoint.pt").exists()
    assert done == ["checkpoint_0"]


def test_no_checkpoint_is_none(tmp_path):
    assert Checkpoints(tmp_path).load() is None


@pytest.mark.parametrize("damage", ["truncate", "flip a bit", "empty", "remove"])
def test_damage_to_the_newest_falls_back_to_the_one_before(tmp_path, damage):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(state(1.0))
    checkpoints.save(state(2.0))
    checkpoints.flush()
    newest = tmp_path / "checkpoint.pt"
    data = bytearray(newest.read_bytes())
    if damage == "remove":
        newest.unlink()
    else:
        data[len(data) // 2] ^= 1
        newest.write_bytes({"truncate": data[: len(data) // 2], "flip a bit": data, "empty": b""}[damage])
    loaded = checkpoints.load()
    assert loaded is not None
    assert torch.equal(loaded["weights"], torch.ones(3))


def test_a_crash_while_writing_leaves_the_old_one(tmp_path, monkeypatch):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(state(1.0))
    checkpoints.save(state(2.0))
    checkpoints.flush()
    monkeypatch.setattr("os.fsync", create_autospec(os.fsync, side_effect=DISK_FULL))
    checkpoints.save(state(3.0))
    with pytest.raises(OSError, match="no space left"):
        checkpoints.flush()
    loaded = checkpoints.load()
    assert loaded is not None
    assert torch.equal(loaded["weights"], torch.full((3,), 2.0))
    assert not list(tmp_path.glob("*.part"))


def test_code_is_never_unpickled(tmp_path):
    class Payload:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return print, ("unpickled",)

    save_tensors(tmp_path / "bad.pt", {"payload": Payload()})
    with pytest.raises(CheckpointError, match=r"bad\.pt: not a file of tensors"):
        load_tensors(tmp_path / "bad.pt")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"none\.pt: no such file"):
        load_tensors(tmp_path / "none.pt")


class Clock:
    """A clock that a test sets."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_periodic_checkpoint_skips_saves_that_come_too_soon(tmp_path):
    clock, saved = Clock(), []
    checkpoint = PeriodicCheckpoint(tmp_path, 10.0, lambda: saved.append(True), clock)
    made = []

    def epoch(number: int):
        return lambda: made.append(number) or {"epoch": number}

    assert not checkpoint.save(epoch(1))  # the run has just begun
    clock.now += 9.9
    assert not checkpoint.save(epoch(2))
    clock.now += 0.1
    assert checkpoint.save(epoch(3))
    clock.now += 5
    assert not checkpoint.save(epoch(4))
    assert checkpoint.load() == {"epoch": 3}
    assert checkpoint.save(epoch(5), force=True)
    clock.now += 9.9
    assert not checkpoint.save(epoch(6))  # counted from the forced save
    checkpoint.flush()
    assert made == [3, 5]
    assert saved == [True, True]
    assert PeriodicCheckpoint(tmp_path).load() == {"epoch": 5}


def test_a_periodic_checkpoint_without_a_folder_saves_nothing():
    checkpoint = PeriodicCheckpoint(None, save_every=0)
    assert not checkpoint.save(lambda: pytest.fail("the state was serialized"), force=True)
    checkpoint.flush()
    assert checkpoint.load() is None


def test_flush_raises_the_error_of_the_background_writer(tmp_path, monkeypatch):
    monkeypatch.setattr("os.fsync", create_autospec(os.fsync, side_effect=DISK_FULL))
    checkpoint = PeriodicCheckpoint(tmp_path, save_every=0)
    checkpoint.save(lambda: state(1.0))
    with pytest.raises(OSError, match="no space left"):
        checkpoint.flush()
