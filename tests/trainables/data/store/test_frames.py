import pickle
import time

import numpy as np
import pytest

from trainables.common.errors import DataError
from trainables.data.settings import DataSettings
from trainables.data.store.frames import INDEX_DTYPE, FrameStore
from trainables.data.store.prepare import prepare
from trainables.phantom import PhantomSettings


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> FrameStore:
    phantom = PhantomSettings(subjects=10, frames=16, seed=1, fractions=(0.6, 0.2, 0.2))
    return prepare(DataSettings(phantom=phantom, image_size=32), None, tmp_path_factory.mktemp("storage"), b"key")


def test_splits_and_labels_partition_the_rows(store):
    parts = [store.rows(split, labelled=labelled) for split in ("train", "val", "test") for labelled in (True, False)]
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(len(store)))
    assert [len(part) for part in parts[::2]] == [12, 4, 4]
    for part in parts[::2]:
        assert (store.index["mask"][part] >= 0).all()


def test_rows_of_chosen_subjects(store):
    some = store.split_subjects("train")[:2]
    rows = store.rows("train", labelled=True, subjects=some)
    assert len(rows) == 4
    assert set(store.index["subject"][rows]) == set(some)
    assert len(store.rows("train", subjects=store.split_subjects("test"))) == 0


def test_one_random_unlabelled_frame_a_sequence_and_epoch(store):
    choose = store.one_per_sequence("train", seed=0)
    seen = np.stack([choose(epoch) for epoch in range(200)])
    assert seen.shape == (200, 6)
    for row, again in zip(seen[:3], (choose(epoch) for epoch in range(3)), strict=True):
        np.testing.assert_array_equal(row, again)
    assert set(seen.ravel()) == set(store.rows("train", labelled=False))
    assert all(len(set(store.index["sequence"][rows])) == 6 for rows in seen)
    assert not np.array_equal(seen[0], store.one_per_sequence("train", seed=1)(0))


def test_chosen_frames_lie_strictly_between_the_ends(store):
    index = store.index
    for row in store.one_per_sequence("train", seed=2)(0):
        same = index[index["sequence"] == index["sequence"][row]]
        ends = [int(same["frame"][same["phase"] == phase][0]) for phase in (1, 2)]
        assert min(ends) < index["frame"][row] < max(ends)


def test_sequences_without_other_frames_fall_back_to_their_labelled_ones(tmp_path):
    phantom = PhantomSettings(subjects=6, frames=8, seed=1, fractions=(0.6, 0.2, 0.2))
    store = prepare(DataSettings(phantom=phantom, image_size=16, stride=0), None, tmp_path, b"key")
    choose = store.one_per_sequence("train", seed=0)
    assert set(np.concatenate([choose(epoch) for epoch in range(50)])) == set(store.rows("train"))
    some = store.split_subjects("train")[:1]
    assert set(store.index["subject"][store.one_per_sequence("train", 0, some)(0)]) == set(some)


def test_opening_is_quick_and_maps_instead_of_reading(store):
    started = time.process_time()
    again = FrameStore.open(store.folder)
    assert time.process_time() - started < 0.05
    assert isinstance(again.images.base, np.memmap)
    assert again.index.dtype == INDEX_DTYPE
    assert not again.images.flags.writeable


def test_a_store_is_pickled_as_its_folder(store):
    sent = pickle.dumps(store)
    assert len(sent) < 500
    assert pickle.loads(sent).fingerprint == store.fingerprint


def test_a_folder_without_a_store_is_a_clear_error(tmp_path):
    with pytest.raises(DataError, match="not a frame store"):
        FrameStore.open(tmp_path)
    (tmp_path / "meta.json").write_text('{"version": 0}')
    with pytest.raises(DataError, match="another format version"):
        FrameStore.open(tmp_path)
