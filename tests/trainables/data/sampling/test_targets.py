import numpy as np
import pytest
from toys import sequence_store

from trainables.common.errors import DataError
from trainables.data.sampling.batches import Batches
from trainables.data.sampling.targets import DenseLabels, targeted

PHASES = ["ED", "", "", "ES"] * 3


def dense(rows: list[int]) -> DenseLabels:
    return DenseLabels(np.array(rows), np.stack([np.full((8, 8), 100 + row, np.uint8) for row in rows]))


def test_labelled_is_the_store_itself():
    store = sequence_store(PHASES, 4)
    assert targeted(store, "labelled", None) is store


def test_ends_forget_the_masks_between_in_every_split():
    store = sequence_store(PHASES, 4, mask=np.arange(12), split=np.repeat([0, 1, 2], 4))
    seen = targeted(store, "ed_es", None)
    assert list(np.flatnonzero(seen.index["mask"] >= 0)) == [0, 3, 4, 7, 8, 11]
    assert (store.index["mask"] >= 0).all()
    volumes = sequence_store(PHASES, 4, mask=np.arange(12), stack=1)
    assert (targeted(volumes, "ed_es", None).index["mask"] >= 0).all()


def test_propagated_masks_fill_what_lies_between_but_never_in_the_test_split():
    store = sequence_store(PHASES, 4, mask=np.arange(12), split=np.repeat([0, 1, 2], 4))
    seen = targeted(store, "propagated", dense([0, 1, 2, 3, 5, 6, 9]))
    assert list(np.flatnonzero(seen.index["mask"] >= 0)) == [0, 1, 2, 3, 4, 5, 6, 7, 8, 11]
    rows = np.array([0, 1, 2, 3, 5, 7])
    masks = next(Batches(seen, rows, 6, masks=True, shuffle=False).epoch()).masks
    assert masks is not None
    for row, mask in zip(rows, masks.numpy(), strict=True):
        end = store.index["phase"][row] > 0
        np.testing.assert_array_equal(mask, store.masks[row] if end else np.full((8, 8), 100 + row))
    windows = next(Batches(seen, rows.reshape(2, 3), 2, masks=True, shuffle=False).epoch()).masks
    assert windows is not None
    np.testing.assert_array_equal(windows.flatten(0, 1), masks)


def test_pseudo_labels_of_no_other_frame_are_refused():
    with pytest.raises(DataError, match=r"no frame between the labelled ones\. Fix: keep more frames \(data.stride\)"):
        targeted(sequence_store(PHASES, 4), "propagated", dense([0, 3]))
