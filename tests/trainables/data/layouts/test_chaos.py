import shutil

import cv2
import numpy as np
import pydicom
import pytest
from pydicom.uid import GrayscaleSoftcopyPresentationStateStorage, MRImageStorage

from trainables.common.errors import DataError
from trainables.data.layouts.chaos import CLASSES, Chaos
from trainables.data.readers.grey import percentile_window
from trainables.data.records import Pixels
from trainables.data.settings import DataSettings
from trainables.data.store.check import check
from trainables.phantom import PHANTOMS, PhantomSettings
from trainables.phantom.writers.dicom_file import write_dicom


@pytest.fixture
def root(tmp_path):
    PHANTOMS["chaos"].write(tmp_path, PhantomSettings(subjects=4, size=40, slices=5), None)
    return tmp_path


def issues(root):
    report = check(DataSettings(layout=Chaos()), root)
    return {issue.kind: (issue.file, issue.skipped) for issue in report.issues}


def test_contrasts_are_views_and_grey_levels_are_organs(root):
    scan = Chaos().scan(root)
    assert {record.view for record in scan.records} == {"T1-in", "T1-out", "T2-SPIR"}
    record = next(record for record in scan.records if record.view == "T2-SPIR" and record.labelled)
    pixels = Chaos().read(root, record)
    slices = sorted((root / record.files["image"]).glob("*.dcm"))
    pictures = sorted((root / record.files["mask"]).glob("*.png"))
    columns, rows = np.meshgrid(np.arange(40), np.arange(40))
    volume = np.stack([pydicom.dcmread(path).pixel_array for path in slices])
    np.testing.assert_array_equal(pixels.images[:, 0], percentile_window(volume))
    for number, (path, picture) in enumerate(zip(slices, pictures, strict=True)):
        header, levels = pydicom.dcmread(path), cv2.imread(str(picture), cv2.IMREAD_GRAYSCALE)
        for level, name in ((63, "liver"), (126, "right kidney"), (189, "left kidney"), (252, "spleen")):
            np.testing.assert_array_equal(pixels.masks[number] == CLASSES.index(name), levels == level)
        across, down = np.array(header.ImageOrientationPatient, float).reshape(2, 3)  # PS3.3, C.7.6.2.1.1
        origin, row_mm, column_mm = np.array(header.ImagePositionPatient, float), *map(float, header.PixelSpacing)
        expected = origin + rows[..., None] * row_mm * down + columns[..., None] * column_mm * across
        place, step_down, step_right = pixels.planes[number]
        np.testing.assert_allclose(place + rows[..., None] * step_down + columns[..., None] * step_right, expected)
        assert record.spacing == pytest.approx(tuple(header.PixelSpacing))
    unlabelled = [record for record in scan.records if record.subject.startswith("Test_Sets")]
    assert unlabelled
    assert not any(record.labelled for record in unlabelled)


def test_planted_faults_are_named(root):
    labelled = [record for record in Chaos().scan(root).records if record.labelled and record.view == "T2-SPIR"]
    first, second = labelled
    sorted((root / first.files["image"]).glob("*.dcm"))[2].write_bytes(bytes(128) + b"DICM junk")
    ground = sorted((root / second.files["mask"]).glob("*.png"))
    cv2.imwrite(str(ground[1]), np.full((40, 40), 100, np.uint8))
    found = issues(root)
    assert found["unreadable sequence"] == (first.files["image"], "sequence")
    assert found["unknown label"] == (second.files["mask"], "mask")
    ground[1].unlink()
    assert issues(root)["mask size differs from the image"] == (second.files["mask"], "mask")
    for path in (root / second.files["image"]).glob("*.dcm"):
        path.unlink()
    assert issues(root)["missing image"] == (second.files["image"], "sequence")


@pytest.mark.parametrize(
    ("level", "name"),
    [
        (54, None), (55, "liver"), (70, "liver"), (71, None), (109, None), (110, "right kidney"), (135, "right kidney"),
        (136, None), (174, None), (175, "left kidney"), (200, "left kidney"), (201, None), (239, None), (240, "spleen"),
        (255, "spleen"),
    ],
)  # fmt: skip
def test_the_published_range_of_levels_is_one_organ(root, level, name):
    record = next(record for record in Chaos().scan(root).records if record.labelled)
    for path in (root / record.files["mask"]).glob("*.png"):
        cv2.imwrite(str(path), np.full((40, 40), level, np.uint8))
    pixels = Chaos().read(root, record)
    if name is None:
        assert [issue.kind for issue in pixels.issues] == ["unknown label"]
    else:
        assert (np.stack(list(pixels.masks.values())) == CLASSES.index(name)).all()


def test_masks_of_background_slices_of_another_size_and_no_pictures(root):
    first, *_, fourth = [record for record in Chaos().scan(root).records if record.labelled][:4]
    for path in (root / first.files["mask"]).glob("*.png"):
        cv2.imwrite(str(path), np.zeros((40, 40), np.uint8))
    assert issues(root)["empty mask"] == (first.files["mask"], "mask")
    sorted((root / fourth.files["mask"]).glob("*.png"))[0].write_bytes(b"no")
    assert issues(root)["unreadable sequence"][1] == "sequence"
    path = sorted((root / fourth.files["image"]).glob("*.dcm"))[3]
    write_dicom(path, MRImageStorage, np.ones((40, 39), np.uint16), {})
    with pytest.raises(DataError, match=rf"{path.name}: 1 frames of 40x39, expected one of 40x40"):
        Chaos().read(root, fourth)


def test_a_first_slice_without_spacing_or_header(root):
    record = Chaos().scan(root).records[0]
    path = sorted((root / record.files["image"]).glob("*.dcm"))[0]
    header = pydicom.dcmread(path)
    del header.PixelSpacing
    header.save_as(path)
    assert issues(root)["spacing missing"] == (record.files["image"], "")
    path.write_bytes(bytes(128) + b"DICM")
    assert issues(root)["unreadable header"][1] == "sequence"


def test_another_folder_is_one_clear_error(tmp_path):
    with pytest.raises(DataError, match="no patients, expected CHAOS"):
        Chaos().scan(tmp_path)


def labelled_record(root):
    return next(record for record in Chaos().scan(root).records if record.labelled and record.view == "T2-SPIR")


def test_slices_and_their_masks_are_ordered_by_position_whatever_their_names(root):
    record = labelled_record(root)
    before = Chaos().read(root, record)
    slices = sorted((root / record.files["image"]).glob("*.dcm"))
    masks = sorted((root / record.files["mask"]).glob("*.png"))
    for place, (path, mask) in enumerate(zip(slices, masks, strict=True)):
        name = f"{(place * 2 + 3) % 5}"
        path.rename(path.with_name(f"{name}.dcm"))
        mask.rename(mask.with_name(f"{name}.png"))
    after = Chaos().read(root, labelled_record(root))
    if after.planes[0, 0, 2] != before.planes[0, 0, 2]:  # either way along the normal
        flipped = {len(slices) - 1 - place: mask for place, mask in before.masks.items()}
        before = Pixels(before.images[::-1], flipped, before.planes[::-1])
    np.testing.assert_array_equal(after.images, before.images)
    np.testing.assert_array_equal(after.planes, before.planes)
    for place in range(len(slices)):
        np.testing.assert_array_equal(after.masks[place], before.masks[place])


def test_masks_without_their_slices_names_are_refused_where_the_names_contradict_the_positions(root):
    record = labelled_record(root)
    slices = sorted((root / record.files["image"]).glob("*.dcm"))
    for place, path in enumerate(slices):
        path.rename(path.with_name(f"{(place * 2 + 3) % 5}.dcm"))
    pixels = Chaos().read(root, record)
    assert not pixels.masks
    assert [issue.kind for issue in pixels.issues] == ["order of masks unknown"]


def test_numbers_in_names_are_taken_by_value(root):
    record = labelled_record(root)
    before = Chaos().read(root, record)
    slices = sorted((root / record.files["image"]).glob("*.dcm"))
    masks = sorted((root / record.files["mask"]).glob("*.png"))
    for place, (path, mask) in enumerate(zip(slices, masks, strict=True), 8):
        path.rename(path.with_name(f"slice{place}.dcm"))
        mask.rename(mask.with_name(f"mask{place}.png"))
    after = Chaos().read(root, record)
    np.testing.assert_array_equal(after.images, before.images)
    for place in range(len(slices)):
        np.testing.assert_array_equal(after.masks[place], before.masks[place])


def test_copies_of_slices_and_other_objects_do_not_count(root):
    record = labelled_record(root)
    before = Chaos().read(root, record)
    for path in list((root / record.files["image"]).glob("*.dcm")):
        shutil.copy(path, path.with_name(f"{path.stem} (1).dcm"))
    state = pydicom.dcmread(path)
    for name in ("Rows", "Columns", "PixelData"):
        delattr(state, name)
    state.SOPClassUID = state.file_meta.MediaStorageSOPClassUID = GrayscaleSoftcopyPresentationStateStorage
    state.save_as(path.with_name("state.dcm"))
    assert labelled_record(root) == record
    after = Chaos().read(root, record)
    np.testing.assert_array_equal(after.images, before.images)
    assert after.masks.keys() == before.masks.keys()


def test_a_mask_beyond_the_size_limit_is_not_decoded(root):
    mask = next(root.glob("Train_Sets/MR/*/T2SPIR/Ground/*.png"))
    cv2.imwrite(str(mask), np.zeros((2000, 2000), np.uint8))  # 4 MB of pixels in a few kB
    report = check(DataSettings(layout=Chaos(), max_gigabytes=0.001), root)
    assert any(f"{mask}: too large to decode" in issue.message for issue in report.issues)
