import cv2
import numpy as np
import pydicom
import pytest

from trainables.data.check import check
from trainables.data.layouts.chaos import CLASSES, Chaos
from trainables.data.phantom import PHANTOMS, PhantomSettings
from trainables.data.settings import DataSettings
from trainables.errors import DataError


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
    order = []
    for number, (path, picture) in enumerate(zip(slices, pictures, strict=True)):
        header, levels = pydicom.dcmread(path), cv2.imread(str(picture), cv2.IMREAD_GRAYSCALE)
        for level, name in ((63, "liver"), (126, "right kidney"), (189, "left kidney"), (252, "spleen")):
            np.testing.assert_array_equal(pixels.masks[number] == CLASSES.index(name), levels == level)
        np.testing.assert_allclose(pixels.planes[number, 0], header.ImagePositionPatient, atol=1e-6)
        order.append(np.corrcoef(header.pixel_array.ravel(), pixels.images[number, 0].ravel())[0, 1])
        assert clip.spacing == pytest.approx(tuple(header.PixelSpacing))
    assert min(order) > 0.98
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
