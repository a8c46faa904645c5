import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_files import change
from pydicom import Dataset, uid

from trainables.data.layouts.cardiac_dicom import CardiacDicom
from trainables.data.readers.grey import percentile_window
from trainables.data.settings import DataSettings
from trainables.data.store.check import check
from trainables.phantom.writers.dicom_file import write_dicom

SLICES, MOMENTS = 3, 4
SCENE = np.random.default_rng(0).integers(100, 3000, (12, 10)).astype(np.uint16)


def image(slice_: int, moment: int) -> np.ndarray:
    return np.roll(SCENE, (slice_, moment), (0, 1))


def tags(slice_: int, moment: int, **others: object) -> dict[str, object]:
    return {
        "SeriesInstanceUID": f"1.2.{slice_ + 1}",
        "SeriesNumber": 11 + slice_,
        "SeriesDescription": "cine",
        "PixelSpacing": [1.5, 1.25],
        "ImagePositionPatient": [0, 0, 8 * slice_],
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        "TriggerTime": 30.0 * moment,
        "InstanceNumber": moment + 1,
        **others,
    }


def place(root: Path, slice_: int, moment: int) -> Path:
    return root / "p1" / f"{slice_}{9 - moment}.dcm"  # names run against time


@pytest.fixture
def root(tmp_path) -> Path:
    (tmp_path / "data" / "p1").mkdir(parents=True)
    for slice_ in range(SLICES):
        for moment in range(MOMENTS):
            path = place(tmp_path / "data", slice_, moment)
            write_dicom(path, uid.MRImageStorage, image(slice_, moment), tags(slice_, moment))
    return tmp_path / "data"


def assert_complete(root: Path) -> None:
    """Every plane has each of its moments once, in the order of time."""
    records = CardiacDicom().scan(root).records
    assert [record.sequence for record in records] == ["p1_SA_11", "p1_SA_12", "p1_SA_13"]
    for slice_, record in enumerate(records):
        expected = percentile_window(np.stack([image(slice_, moment) for moment in range(MOMENTS)]))
        pixels = CardiacDicom().read(root, record)
        assert record.frames == MOMENTS
        np.testing.assert_array_equal(pixels.images[:, 0], expected)
        np.testing.assert_allclose(pixels.planes, [[[0, 0, 8 * slice_], [0, 1.5, 0], [1.25, 0, 0]]] * MOMENTS)


def found(root: Path) -> dict[str, str]:
    report = check(DataSettings(layout=CardiacDicom()), root)
    return {issue.kind: issue.severity for issue in report.issues if issue.kind != "no complete official split"}


def test_a_clean_folder(root):
    assert_complete(root)
    assert found(root) == {}


def test_files_without_a_preamble_belong_to_their_series(root):
    for slice_, moment in ((0, 1), (1, 0), (1, 3)):
        dataset = pydicom.dcmread(place(root, slice_, moment))
        dataset.preamble = None
        del dataset.file_meta
        dataset.save_as(place(root, slice_, moment), implicit_vr=True, little_endian=True, enforce_file_format=False)
    assert_complete(root)
    assert found(root) == {}


def test_copies_of_a_file_count_once(root):
    (root / "p1" / "again").mkdir()
    for path in list(root.glob("p1/*.dcm")):
        shutil.copy(path, root / "p1" / "again" / f"{path.name} (1)")
    assert_complete(root)
    assert found(root) == {"copy of an instance": "note"}


def test_files_that_share_one_identifier_without_being_copies_are_kept(root):
    for path in root.glob("p1/*.dcm"):
        change(path, SOPInstanceUID="1.2.3")
    assert_complete(root)


def test_a_linked_series_and_a_link_back_to_the_root(root):
    shutil.move(root / "p1", root.parent / "elsewhere")
    (root / "p1").mkdir()
    (root / "p1" / "scan").symlink_to(root.parent / "elsewhere")
    (root / "p1" / "loop").symlink_to(root / "p1")
    assert_complete(root)
    assert found(root) == {"link out of the dataset": "note"}


def test_objects_that_are_not_images_are_ignored(root):
    write_object(root / "p1" / "DICOMDIR", uid.MediaStorageDirectoryStorage)
    write_object(root / "p1" / "PR", uid.GrayscaleSoftcopyPresentationStateStorage)
    write_object(root / "p1" / "SR", uid.BasicTextSRStorage)
    segmentation = tags(0, 0, SeriesNumber=90, SeriesInstanceUID="1.2.90")
    write_dicom(root / "p1" / "SEG", uid.SegmentationStorage, np.ones((2, 12, 10), np.uint8), segmentation)
    (root / "p1" / "notes.txt").write_text("a short note on the patient")
    assert_complete(root)
    assert found(root) == {}


def write_object(path: Path, kind: uid.UID) -> None:
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = kind, uid.generate_uid()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = kind
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    if kind == uid.MediaStorageDirectoryStorage:
        del dataset.SOPClassUID, dataset.SOPInstanceUID
        dataset.DirectoryRecordSequence = []
    dataset.save_as(path, enforce_file_format=True)


def test_phase_images_between_the_magnitudes_are_left_out(root):
    for slice_ in range(SLICES):
        for moment in range(MOMENTS):
            phase = tags(slice_, moment, ImageType=["ORIGINAL", "PRIMARY", "P"], InstanceNumber=100 + moment)
            write_dicom(root / "p1" / f"phase{slice_}{moment}", uid.MRImageStorage, SCENE[::-1], phase)
            change(place(root, slice_, moment), ImageType=["ORIGINAL", "PRIMARY", "M"])
    assert_complete(root)
    assert found(root) == {"phase images": "note"}


@pytest.mark.parametrize("without", [(0,), (2,), (1, 3), (0, 1, 2, 3)])
def test_a_missing_trigger_time_is_replaced_by_the_instance_numbers(root, without):
    for moment in without:
        change(place(root, 1, moment), TriggerTime=None)
    assert_complete(root)
    assert found(root) == {"trigger time missing": "note"}


def test_an_image_of_unknown_time_is_left_out_where_the_instance_numbers_do_not_tell(root):
    for moment in range(MOMENTS):
        change(place(root, 1, moment), InstanceNumber=MOMENTS - moment)
    change(place(root, 1, 2), TriggerTime=None)
    record = CardiacDicom().scan(root).records[1]
    expected = percentile_window(np.stack([image(1, moment) for moment in (0, 1, 3)]))
    np.testing.assert_array_equal(CardiacDicom().read(root, record).images[:, 0], expected)
    assert found(root) == {"order of frames unknown": "loss"}


@pytest.mark.parametrize("declared", [MOMENTS, None])
@pytest.mark.filterwarnings("ignore")  # pydicom warns of the missing number
def test_one_file_for_each_plane(root, declared):
    for slice_ in range(SLICES):
        for moment in range(MOMENTS):
            place(root, slice_, moment).unlink()
        path = root / "p1" / f"{slice_}.dcm"
        cine = np.stack([image(slice_, moment) for moment in range(MOMENTS)])
        write_dicom(path, uid.MRImageStorage, cine, tags(slice_, 0))
        change(path, NumberOfFrames=declared, TriggerTime=None)
    assert_complete(root)
    assert found(root) == {}


def test_one_enhanced_file_for_the_stack(root):
    """Frames in an order of their own; each says its plane and its time."""
    shutil.rmtree(root / "p1")
    (root / "p1").mkdir()
    order = np.random.default_rng(1).permutation([(s, m) for s in range(SLICES) for m in range(MOMENTS)]).tolist()
    groups = []
    for slice_, moment in order:
        group, position, time = Dataset(), Dataset(), Dataset()
        position.ImagePositionPatient = [0, 0, 8 * slice_]
        time.NominalCardiacTriggerDelayTime = 30.0 * moment
        group.PlanePositionSequence, group.CardiacSynchronizationSequence = [position], [time]
        groups.append(group)
    shared, direction, spacing = Dataset(), Dataset(), Dataset()
    direction.ImageOrientationPatient, spacing.PixelSpacing = [1, 0, 0, 0, 1, 0], [1.5, 1.25]
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [direction], [spacing]
    entries = {"SeriesNumber": 11, "SeriesInstanceUID": "1.2.1", "SeriesDescription": "cine"}
    entries |= {"PerFrameFunctionalGroupsSequence": groups, "SharedFunctionalGroupsSequence": [shared]}
    stack = np.stack([image(slice_, moment) for slice_, moment in order])
    write_dicom(root / "p1" / "stack.dcm", uid.EnhancedMRImageStorage, stack, entries)
    records = CardiacDicom().scan(root).records
    assert [record.sequence for record in records] == ["p1_SA_11_1", "p1_SA_11_2", "p1_SA_11_3"]
    for slice_, record in enumerate(records):
        pixels = CardiacDicom().read(root, record)
        expected = percentile_window(np.stack([image(slice_, moment) for moment in range(MOMENTS)]))
        np.testing.assert_array_equal(pixels.images[:, 0], expected)
        np.testing.assert_allclose(pixels.planes[:, 0], [[0, 0, 8 * slice_]] * MOMENTS)


def test_inverted_images_of_a_series_have_one_scale(root):
    """A bright artefact in one file must not darken it against the others."""
    for moment in range(MOMENTS):
        inverted = 4095 - image(0, moment)
        if moment == 2:
            inverted[0, 0] = 4095
        entries = tags(0, moment)
        write_dicom(place(root, 0, moment), uid.MRImageStorage, inverted, entries)
        change(place(root, 0, moment), PhotometricInterpretation="MONOCHROME1", BitsStored=12, HighBit=11)
    pixels = CardiacDicom().read(root, CardiacDicom().scan(root).records[0])
    expected = np.stack([image(0, moment) for moment in range(MOMENTS)])
    expected[2, 0, 0] = 0
    np.testing.assert_array_equal(pixels.images[:, 0], percentile_window(expected))
