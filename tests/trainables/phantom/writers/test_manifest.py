import csv

import av
import cv2
import nibabel as nib
import numpy as np
import pydicom
import pytest

from trainables.data.readers import metaimage
from trainables.phantom import PHANTOMS, PhantomSettings
from trainables.phantom.imaging.cine import draw_cine
from trainables.phantom.writers.camus import truth

SETTINGS = PhantomSettings(subjects=8, frames=9, size=48, fractions=(0.5, 0.25, 0.25))


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("manifest")
    PHANTOMS["manifest"].write(folder, SETTINGS, None)
    return folder


@pytest.fixture(scope="module")
def rows(root):
    with (root / "manifest.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def of(rows, suffix):
    found = [row for row in rows if row["image"].endswith(suffix)]
    assert len({row["subject"] for row in found}) == 1
    return found, draw_cine(SETTINGS, found[0]["subject"])


def grey(path):
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


def test_tables(root, rows):
    assert (root / "manifest.csv").read_text().splitlines()[0] == "subject,split,image,mask,view,frame,row_mm,column_mm"
    assert (root / "classes.csv").read_text() == "value,name\n0,background\n1,lv\n2,myocardium\n3,la\n"
    splits = {row["subject"]: row["split"] for row in rows}
    assert sorted(splits.values()) == ["test"] * 2 + ["train"] * 4 + ["val"] * 2
    assert {row["view"] for row in rows} == {"4CH"}
    listed = {row[column] for row in rows for column in ("image", "mask")} - {""}
    beside = {name.replace(".mhd", end) for name in listed for end in (".raw", ".zraw") if name.endswith(".mhd")}
    found = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    assert listed <= found
    assert found - listed - beside == {"manifest.csv", "classes.csv"}


def test_every_kind_of_file_is_there(rows):
    kinds = {row["image"].partition(".")[2] for row in rows}
    assert kinds == {"png", "nii.gz", "dcm", "mhd", "avi", "mp4"}


def test_png_subjects_have_a_row_for_each_frame(root, rows):
    subjects = sorted({row["subject"] for row in rows if row["image"].endswith("png")})
    assert len(subjects) == 3
    for subject in subjects:
        own, cine = [row for row in rows if row["subject"] == subject], draw_cine(SETTINGS, subject)
        assert [int(row["frame"]) for row in own] == list(range(len(own)))
        assert [bool(row["mask"]) for row in own] == [True] + [False] * (len(own) - 2) + [True]
        assert float(own[0]["row_mm"]) == pytest.approx(cine.millimetres / 48, abs=1e-6)
        np.testing.assert_array_equal(grey(root / own[0]["image"]), cine.images[cine.end_diastole, :43])
        np.testing.assert_array_equal(grey(root / own[-1]["mask"]), truth(cine, cine.end_systole)[:43])


def test_volumes_have_a_mask_of_their_shape(root, rows):
    for suffix in ("nii.gz", "mhd"):
        (row,), cine = of(rows, suffix)
        assert row["frame"] == ""
        if suffix == "mhd":
            image, mask = (metaimage.read_metaimage(root / row[column]) for column in ("image", "mask"))
            arrays, spacing = (image.array, mask.array), image.spacing
        else:
            image, mask = (nib.load(root / row[column]) for column in ("image", "mask"))
            arrays, spacing = (np.asarray(image.dataobj), np.asarray(mask.dataobj)), image.header.get_zooms()
        np.testing.assert_array_equal(arrays[0].T, cine.images)
        for frame in range(9):
            np.testing.assert_array_equal(arrays[1][:, :, frame].T, truth(cine, frame))
        assert spacing[:2] == pytest.approx((cine.millimetres / 48,) * 2)


def test_the_dicom_cine(root, rows):
    own, cine = of(rows, "dcm")
    dataset = pydicom.dcmread(root / own[0]["image"])
    np.testing.assert_array_equal(dataset.pixel_array, cine.images)
    assert dataset.Modality == "US"
    assert dataset.FrameTime == 20
    assert dataset.SequenceOfUltrasoundRegions[0].PhysicalDeltaX * 10 == pytest.approx(cine.millimetres / 48)
    assert dataset[dataset.FrameIncrementPointer].keyword == "FrameTime"


@pytest.mark.parametrize("suffix", ["avi", "mp4", "dcm"])
def test_frames_of_videos_have_masks(root, rows, suffix):
    own, cine = of(rows, suffix)
    assert [int(row["frame"]) for row in own] == [cine.end_diastole, cine.end_systole]
    for row in own:
        np.testing.assert_array_equal(grey(root / row["mask"]), truth(cine, int(row["frame"])))


@pytest.mark.parametrize("suffix", ["avi", "mp4"])
def test_videos_show_the_cine(root, rows, suffix):
    own, cine = of(rows, suffix)
    with av.open(str(root / own[0]["image"])) as container:
        frames = np.stack([frame.to_ndarray(format="gray") for frame in container.decode(video=0)])
    assert frames.shape == cine.images.shape
    error = np.abs(frames.astype(int) - cine.images)
    assert np.median(error) <= 3
    assert error.mean() < 6
