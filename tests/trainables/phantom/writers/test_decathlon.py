import json

import nibabel as nib
import numpy as np
import pytest

from trainables.phantom import PHANTOMS, PhantomSettings
from trainables.phantom.anatomy.pelvis import draw_pelvis

SETTINGS = PhantomSettings(subjects=6, size=48, slices=6, seed=1)


@pytest.fixture(scope="module")
def prostate(tmp_path_factory):
    root = tmp_path_factory.mktemp("prostate")
    PHANTOMS["decathlon_prostate"].write(root, SETTINGS, None)
    return root


def test_the_json_is_as_published_and_lists_what_is_there(prostate):
    content = json.loads((prostate / "dataset.json").read_text())
    assert content["modality"] == {"0": "T2", "1": "ADC"}
    assert content["labels"] == {"0": "background", "1": "PZ", "2": "TZ"}
    assert content["tensorImageSize"] == "4D"
    assert content["numTraining"] == len(content["training"]) == 4  # two thirds, as 32 of 48
    assert content["numTest"] == len(content["test"]) == 2
    listed = {file for entry in content["training"] for file in entry.values()} | set(content["test"])
    found = {f"./{path.relative_to(prostate).as_posix()}" for path in prostate.glob("*/*.nii.gz")}
    assert listed == found
    for entry in content["training"]:
        assert entry["label"] == entry["image"].replace("imagesTr", "labelsTr")


def test_images_have_two_channels_and_labels_their_geometry(prostate):
    for path in sorted((prostate / "labelsTr").iterdir()):
        image, label = nib.load(prostate / "imagesTr" / path.name), nib.load(path)
        assert image.shape == (48, 48, 6, 2)
        assert label.shape == (48, 48, 6)
        assert image.get_data_dtype() == np.float32
        assert label.get_data_dtype() == np.uint8
        np.testing.assert_array_equal(image.affine, label.affine)
        assert image.header.get_zooms()[:3] == pytest.approx((4, 4, 12))
        assert nib.aff2axcodes(image.affine) == ("R", "A", "S")
        assert set(np.unique(label.dataobj)) == {0, 1, 2}
        np.testing.assert_array_equal(
            np.asarray(image.dataobj), draw_pelvis(SETTINGS, path.name.removesuffix(".nii.gz")).images
        )


def test_the_liver_task_has_one_channel_and_one_class(tmp_path):
    PHANTOMS["decathlon_liver"].write(tmp_path, SETTINGS, None)
    content = json.loads((tmp_path / "dataset.json").read_text())
    assert content["tensorImageSize"] == "3D"
    assert content["labels"] == {"0": "background", "1": "liver"}
    assert list(content["modality"]) == ["0"]
    for entry in content["training"]:
        assert nib.load(tmp_path / entry["image"]).shape == (48, 48, 6)
        labels = np.asarray(nib.load(tmp_path / entry["label"]).dataobj)
        assert np.unique(labels).tolist() == [0, 1]
        assert labels[24:].sum() > labels[:24].sum()  # on the right, towards which the first axis runs
