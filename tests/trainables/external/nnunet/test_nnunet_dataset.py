import dataclasses
import json

import nibabel as nib
import numpy as np
import pytest
from toys import sequence_store

from trainables.common.errors import UserError
from trainables.data.sampling.targets import targeted
from trainables.external.nnunet.dataset import NAME, cases_of, image_of, write_dataset
from trainables.external.nnunet.settings import NnUNet


def store():
    made = sequence_store(["ED", "", "ES"] * 4, 3)
    index = np.array(made.index)
    index["mask"], index["spacing"] = np.arange(12), (0.5, 0.8)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (12, 1, 8, 8)).astype(np.uint8)
    masks = rng.integers(0, 3, (12, 8, 8)).astype(np.uint8)
    return dataclasses.replace(made, index=index, images=images, masks=masks, classes=("background", "lv", "wall"))


def test_frames_are_cases_of_their_own_or_sequences_together():
    rows = np.array([0, 2, 3, 4, 5])
    assert [list(case.rows) for case in cases_of(store(), rows, together=False)] == [[0], [2], [3], [4], [5]]
    together = cases_of(store(), rows, together=True)
    assert [(case.name, list(case.rows)) for case in together] == [
        ("sequence_000000", [0, 2]),
        ("sequence_000001", [3, 4, 5]),
    ]


@pytest.mark.parametrize("together", [False, True])
def test_files_are_what_nnunet_reads(tmp_path, together):
    frames = store()
    cases = cases_of(frames, np.arange(6), together=together)
    names = [case.name for case in cases]
    write_dataset(tmp_path, frames, cases, [{"train": names[1:], "val": names[:1]}])
    raw = tmp_path / "nnUNet_raw" / NAME
    assert sorted(path.name for path in (raw / "imagesTr").iterdir()) == [f"{name}_0000.nii.gz" for name in names]
    for case in cases:
        image = nib.load(raw / "imagesTr" / f"{case.name}_0000.nii.gz")
        labels = nib.load(raw / "labelsTr" / f"{case.name}.nii.gz")
        # Read as SimpleITK does, the last axis first.
        np.testing.assert_array_equal(np.asarray(image.dataobj).transpose(2, 1, 0), frames.images[case.rows, 0])
        np.testing.assert_array_equal(np.asarray(labels.dataobj).transpose(2, 1, 0), frames.masks[case.rows])
        np.testing.assert_allclose(image.header.get_zooms(), (0.8, 0.5, 0.8), rtol=1e-6)
    described = json.loads((raw / "dataset.json").read_text())
    assert described["labels"] == {"background": 0, "lv": 1, "wall": 2}
    assert described["numTraining"] == len(cases)
    splits = json.loads((tmp_path / "nnUNet_preprocessed" / NAME / "splits_final.json").read_text())
    assert splits == [{"train": names[1:], "val": names[:1]}]


def test_an_unknown_spacing_is_one():
    frames = store()
    index = np.array(frames.index)
    index["spacing"] = np.nan
    case = cases_of(frames, np.arange(3), together=True)[0]
    assert image_of(dataclasses.replace(frames, index=index), case)[1] == (1.0, 1.0, 1.0)
    assert image_of(targeted(frames, "ed_es", None), case)[1] == pytest.approx((0.8, 0.5, 0.8))


@pytest.mark.parametrize("spacing", [(0.5, 0.8), (0.8, 0.5), (0.5, 0.5)])
def test_the_axis_of_frames_is_the_one_that_nnunet_slices_along(spacing):
    frames = store()
    index = np.array(frames.index)
    index["spacing"] = spacing
    found = image_of(dataclasses.replace(frames, index=index), cases_of(frames, np.arange(1), together=False)[0])[1]
    assert np.argmax(found) == 0  # as its planner asks


def test_time_is_mirrored_only_if_requested():
    assert NnUNet("3d_fullres").axes == (1, 2)
    assert NnUNet("3d_fullres", mirror="all").axes == (0, 1, 2)
    assert NnUNet("2d").axes == NnUNet("2d", mirror="all").axes == (0, 1)
    assert NnUNet(mirror="none").axes == ()
    with pytest.raises(UserError, match=r"expected pretext\.method: random"):
        NnUNet().build(1, 2)
