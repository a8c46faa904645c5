import cv2
import numpy as np
import pydicom
import pytest
from pydicom.uid import MRImageStorage

from trainables.common.errors import DataError
from trainables.data.layouts.chaos import CLASSES, Chaos
from trainables.data.readers.grey import windowed
from trainables.data.settings import DataSettings
from trainables.data.store.check import check
from trainables.phantom import PHANTOMS, PhantomSettings
from trainables.phantom.writers.dicom_file import write_dicom


@pytest.fixture
def root(tmp_path):
    PHANTOMS["chaos"].write(tmp_path, PhantomSettings(subjects=4, size=40, slices=5), None)
    return tmp_path


def faults(root):
    report = check(DataSettings(layout=Chaos()), root)
    return {fault.kind: (fault.file, fault.skipped) for fault in report.faults}


def test_contrasts_are_views_and_grey_levels_are_organs(root):
    scan = Chaos().scan(root)
    assert {clip.view for clip in scan.clips} == {"T1-in", "T1-out", "T2-SPIR"}
    clip = next(clip for clip in scan.clips if clip.view == "T2-SPIR" and clip.labelled)
    pixels = Chaos().read(root, clip)
    slices = sorted((root / clip.files["image"]).glob("*.dcm"))
    pictures = sorted((root / clip.files["mask"]).glob("*.png"))
    columns, rows = np.meshgrid(np.arange(40), np.arange(40))
    volume = np.stack([pydicom.dcmread(path).pixel_array for path in slices])
    np.testing.assert_array_equal(pixels.images[:, 0], windowed(volume))
    for number, (path, picture) in enumerate(zip(slices, pictures, strict=True)):
        header, levels = pydicom.dcmread(path), cv2.imread(str(picture), cv2.IMREAD_GRAYSCALE)
        for level, name in ((63, "liver"), (126, "right kidney"), (189, "left kidney"), (252, "spleen")):
            np.testing.assert_array_equal(pixels.masks[number] == CLASSES.index(name), levels == level)
        across, down = np.array(header.ImageOrientationPatient, float).reshape(2, 3)  # PS3.3, C.7.6.2.1.1
        origin, row_mm, column_mm = np.array(header.ImagePositionPatient, float), *map(float, header.PixelSpacing)
        expected = origin + rows[..., None] * row_mm * down + columns[..., None] * column_mm * across
        place, step_down, step_right = pixels.planes[number]
        np.testing.assert_allclose(place + rows[..., None] * step_down + columns[..., None] * step_right, expected)
        assert clip.spacing == pytest.approx(tuple(header.PixelSpacing))
    unlabelled = [clip for clip in scan.clips if clip.subject.startswith("Test_Sets")]
    assert unlabelled
    assert not any(clip.labelled for clip in unlabelled)


def test_planted_faults_are_named(root):
    labelled = [clip for clip in Chaos().scan(root).clips if clip.labelled and clip.view == "T2-SPIR"]
    first, second = labelled
    sorted((root / first.files["image"]).glob("*.dcm"))[2].write_bytes(bytes(128) + b"DICM junk")
    ground = sorted((root / second.files["mask"]).glob("*.png"))
    cv2.imwrite(str(ground[1]), np.full((40, 40), 100, np.uint8))
    found = faults(root)
    assert found["unreadable sequence"] == (first.files["image"], "sequence")
    assert found["unknown label"] == (second.files["mask"], "mask")
    ground[1].unlink()
    assert faults(root)["mask size differs from the image"] == (second.files["mask"], "mask")
    for path in (root / second.files["image"]).glob("*.dcm"):
        path.unlink()
    assert faults(root)["missing image"] == (second.files["image"], "sequence")


@pytest.mark.parametrize(
    ("level", "name"),
    [
        (54, None), (55, "liver"), (70, "liver"), (71, None), (109, None), (110, "right kidney"), (135, "right kidney"),
        (136, None), (174, None), (175, "left kidney"), (200, "left kidney"), (201, None), (239, None), (240, "spleen"),
        (255, "spleen"),
    ],
)  # fmt: skip
def test_the_published_range_of_levels_is_one_organ(root, level, name):
    clip = next(clip for clip in Chaos().scan(root).clips if clip.labelled)
    for path in (root / clip.files["mask"]).glob("*.png"):
        cv2.imwrite(str(path), np.full((40, 40), level, np.uint8))
    pixels = Chaos().read(root, clip)
    if name is None:
        assert [fault.kind for fault in pixels.faults] == ["unknown label"]
    else:
        assert (np.stack(list(pixels.masks.values())) == CLASSES.index(name)).all()


def test_masks_of_background_slices_of_another_size_and_no_pictures(root):
    first, *_, fourth = [clip for clip in Chaos().scan(root).clips if clip.labelled][:4]
    for path in (root / first.files["mask"]).glob("*.png"):
        cv2.imwrite(str(path), np.zeros((40, 40), np.uint8))
    assert faults(root)["empty mask"] == (first.files["mask"], "mask")
    sorted((root / fourth.files["mask"]).glob("*.png"))[0].write_bytes(b"no")
    assert faults(root)["unreadable sequence"][1] == "sequence"
    path = sorted((root / fourth.files["image"]).glob("*.dcm"))[3]
    write_dicom(path, MRImageStorage, np.ones((40, 39), np.uint16), {})
    with pytest.raises(DataError, match=rf"{path.name}: 1 frames of 40x39, expected one of 40x40"):
        Chaos().read(root, fourth)


def test_a_first_slice_without_spacing_or_header(root):
    clip = Chaos().scan(root).clips[0]
    path = sorted((root / clip.files["image"]).glob("*.dcm"))[0]
    header = pydicom.dcmread(path)
    del header.PixelSpacing
    header.save_as(path)
    assert faults(root)["spacing missing"] == (clip.files["image"], "")
    path.write_bytes(bytes(128) + b"DICM")
    assert faults(root)["unreadable header"][1] == "sequence"


def test_another_folder_is_one_clear_error(tmp_path):
    with pytest.raises(DataError, match="no patients, expected CHAOS"):
        Chaos().scan(tmp_path)
