import hashlib

import numpy as np
import pytest

from trainables.data.store.npy_writer import NpyWriter, map_items

ITEMS = np.random.default_rng(0).integers(0, 256, (7, 3, 4)).astype(np.uint8)


@pytest.mark.parametrize("parts", [(7,), (2, 5), (1, 1, 5), (0, 7)])
def test_the_written_file_is_a_plain_array(tmp_path, parts):
    grown = NpyWriter(tmp_path / "a.npy", (3, 4))
    for start, count in zip(np.cumsum((0, *parts)), parts, strict=False):
        grown.append(ITEMS[start : start + count])
        grown.sync()
    grown.close()
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), ITEMS)
    assert (grown.count, grown.digest.hexdigest()) == (7, hashlib.sha256(ITEMS.tobytes()).hexdigest())


@pytest.mark.parametrize("kept", [0, 1, 4])
@pytest.mark.parametrize("torn", [0, 5])
def test_a_killed_writer_is_resumed(tmp_path, kept, torn):
    """Keep the recorded ones of five items and part of a sixth."""
    path = tmp_path / "a.npy"
    killed = NpyWriter(path, (3, 4))
    killed.append(ITEMS[:5])
    killed.sync()
    with path.open("ab") as file:
        file.write(bytes(torn))
    there = map_items(path, (3, 4), kept)
    np.testing.assert_array_equal(there, ITEMS[:kept])
    again = NpyWriter(path, (3, 4), kept)
    again.add_existing(there)
    again.append(ITEMS[kept:])
    again.close()
    np.testing.assert_array_equal(np.load(path), ITEMS)
    assert again.digest.hexdigest() == hashlib.sha256(ITEMS.tobytes()).hexdigest()


def test_fewer_items_than_were_noted_are_none(tmp_path):
    path = tmp_path / "a.npy"
    grown = NpyWriter(path, (3, 4))
    grown.append(ITEMS[:2])
    grown.sync()
    assert map_items(path, (3, 4), 2) is not None
    assert map_items(path, (3, 4), 3) is None
    path.write_bytes(b"no array")
    assert map_items(path, (3, 4), 0) is None
    assert map_items(tmp_path / "none.npy", (3, 4), 0) is None


def test_a_million_items_have_a_header_as_long_as_none(tmp_path):
    """Leave the items in place when the final header is written."""
    grown = NpyWriter(tmp_path / "a.npy", (1,))
    grown.append(np.arange(1_000_000, dtype=np.uint32).astype(np.uint8)[:, None])
    grown.close()
    found = np.load(tmp_path / "a.npy", mmap_mode="r")
    assert found.shape == (1_000_000, 1)
    assert found[-3:, 0].tolist() == [61, 62, 63]  # 999,997 and on, modulo 256
