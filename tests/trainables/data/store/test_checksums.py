"""Damage to a prepared store is noticed wherever it is; a store of an earlier version opens without the check."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from trainables.common.errors import DataError
from trainables.data.settings import DataSettings
from trainables.data.store import checksums
from trainables.data.store.checksums import BLOCK, verify_checksums, write_checksums
from trainables.data.store.frames import FrameStore
from trainables.data.store.prepare import prepare
from trainables.phantom import PhantomSettings

SETTINGS = DataSettings(
    phantom=PhantomSettings(subjects=10, frames=16, seed=1, fractions=(0.6, 0.2, 0.2)), image_size=32
)


@pytest.fixture
def store(tmp_path) -> FrameStore:
    return prepare(SETTINGS, None, tmp_path, b"key")


def invert(path: Path, start: int, count: int) -> None:
    with path.open("r+b") as file:
        file.seek(start)
        found = np.frombuffer(file.read(count), np.uint8)
        file.seek(start)
        file.write((255 - found).tobytes())


@pytest.mark.parametrize(
    ("name", "start", "count"),
    [
        ("images.npy", 6000, 5000),
        ("images.npy", -1, 1),
        ("masks.npy", 2000, 1),
        ("index.npy", 400, 1),
        ("clinical.npy", -3, 1),
        ("meta.json", 60, 1),
    ],
)
def test_any_changed_byte_is_noticed_and_named(store, tmp_path, name, start, count):
    assert store.verify()
    path = store.folder / name
    invert(path, start % path.stat().st_size, count)
    with pytest.raises(DataError, match=rf"{store.folder}: the stored frames have changed .*{name} from byte 0"):
        verify_checksums(store.folder)
    with pytest.raises(DataError):
        prepare(SETTINGS, None, tmp_path, b"key")


def test_files_that_were_verified_are_not_read_again_until_they_change(store, monkeypatch):
    read: list[str] = []
    real = checksums._of_file
    monkeypatch.setattr(checksums, "_of_file", lambda path: read.append(path.name) or real(path))
    assert store.verify(stamped=True)  # `prepare` has read them
    assert read == []
    assert store.verify()
    assert "images.npy" in read
    read.clear()
    os.utime(store.folder / "images.npy", ns=(1, 1))
    assert store.verify(stamped=True)
    assert "images.npy" in read
    invert(store.folder / "masks.npy", 2000, 1)
    for _ in range(2):
        with pytest.raises(DataError, match=r"masks\.npy from byte 0"):
            store.verify(stamped=True)


def test_bytes_that_change_behind_an_old_time_are_found_by_a_full_verification(store):
    path = store.folder / "images.npy"
    before = path.stat()
    invert(path, 6000, 10)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert store.verify(stamped=True)
    with pytest.raises(DataError):
        store.verify()
    with pytest.raises(DataError):
        store.verify(stamped=True)


def test_a_lost_block_and_a_lost_file_are_noticed(store):
    images = store.folder / "images.npy"
    images.write_bytes(images.read_bytes() + bytes(BLOCK))
    (store.folder / "masks.npy").unlink()
    with pytest.raises(DataError, match=r"images\.npy has 2 blocks of 1048576 bytes, expected 1, masks\.npy cannot"):
        store.verify()


def test_only_the_damaged_blocks_are_named(tmp_path):
    path = tmp_path / "images.npy"
    path.write_bytes(bytes(range(256)) * (BLOCK // 256) * 3 + b"tail")
    write_checksums(tmp_path, ["images.npy"], {"meta.json": b"{}"})
    (tmp_path / "meta.json").write_bytes(b"{}")
    assert verify_checksums(tmp_path)
    invert(path, 2 * BLOCK + 7, 1)
    with pytest.raises(DataError, match=rf"found images\.npy from byte {2 * BLOCK}\)"):
        verify_checksums(tmp_path)


def test_a_store_of_the_version_without_checksums_opens_unverified(store):
    meta = json.loads((store.folder / "meta.json").read_text())
    (store.folder / "meta.json").write_text(json.dumps({**meta, "version": 3}))
    (store.folder / "checksums.json").unlink()
    assert FrameStore.open(store.folder).verify() is False


def test_a_store_whose_checksums_are_gone_or_damaged_is_refused(store):
    path = store.folder / "checksums.json"
    path.write_text("{")
    with pytest.raises(DataError, match=r"checksums\.json is damaged"):
        store.verify()
    path.unlink()
    with pytest.raises(DataError, match=r"checksums\.json is missing"):
        FrameStore.open(store.folder)
