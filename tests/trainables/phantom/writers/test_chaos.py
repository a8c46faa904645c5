import cv2
import numpy as np
import pydicom
import pytest

from trainables.phantom import PHANTOMS, PhantomSettings
from trainables.phantom.anatomy.abdomen import draw_abdomen

SETTINGS = PhantomSettings(subjects=4, size=48, slices=6, seed=1)
LEVELS = {63: 1, 126: 2, 189: 3, 252: 4}  # published grey levels, and the phantom's labels


@pytest.fixture(scope="module")
def chaos(tmp_path_factory):
    root = tmp_path_factory.mktemp("chaos")
    PHANTOMS["chaos"].write(root, SETTINGS, None)
    return root


def series(folder):
    return [pydicom.dcmread(path) for path in sorted(folder.glob("*.dcm"))]


def test_folders_are_as_published(chaos):
    train, test = (sorted((chaos / part / "MR").iterdir()) for part in ("Train_Sets", "Test_Sets"))
    assert {path.name for path in train + test} == {"1", "2", "3", "4"}
    assert len(train) == len(test) == 2  # as 20 and 20
    for folder in train + test:
        parts = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_dir()}
        shared = {"T1DUAL/DICOM_anon/InPhase", "T1DUAL/DICOM_anon/OutPhase", "T2SPIR/DICOM_anon"}
        assert shared <= parts
        assert ({"T1DUAL/Ground", "T2SPIR/Ground"} <= parts) == (folder in train)
    first = train[0] / "T1DUAL"
    phases = [[path.stem for path in sorted((first / part).iterdir())] for part in ("DICOM_anon/InPhase", "Ground")]
    assert phases[0] == phases[1] == [f"IMG-0004-{number:05d}" for number in range(2, 13, 2)]
    assert sorted(path.stem for path in (first / "DICOM_anon" / "OutPhase").iterdir())[0] == "IMG-0004-00001"


@pytest.mark.parametrize(
    ("sequence", "phase", "channel"), [("T1DUAL", "InPhase", 0), ("T1DUAL", "OutPhase", 1), ("T2SPIR", "", 0)]
)
def test_pixels_lie_in_patient_space_where_the_phantom_has_them(chaos, sequence, phase, channel):
    """Each pixel's position by DICOM's own formula (PS3.3 C.7.6.2.1.1) leads back to the phantom's voxel."""
    folder = next((chaos / "Train_Sets" / "MR").iterdir())
    volume = draw_abdomen(SETTINGS, folder.name, sequence)
    into = np.linalg.inv(volume.affine)
    for slice_ in series(folder / sequence / "DICOM_anon" / phase):
        origin, (row, column) = np.array(slice_.ImagePositionPatient, float), map(float, slice_.PixelSpacing)
        across, down = np.array(slice_.ImageOrientationPatient, float).reshape(2, 3)
        for i, j in [(0, 0), (5, 40), (47, 47), (30, 12)]:
            left, back, head = origin + across * column * j + down * row * i
            x, y, z, _ = np.rint(into @ [-left, -back, head, 1]).astype(int)
            assert slice_.pixel_array[i, j] == np.rint(volume.images[x, y, z, channel])


def test_masks_have_the_published_grey_levels(chaos):
    folder = next((chaos / "Train_Sets" / "MR").iterdir())
    for sequence in ("T1DUAL", "T2SPIR"):
        truth = draw_abdomen(SETTINGS, folder.name, sequence).labels
        masks = [
            cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in sorted((folder / sequence / "Ground").iterdir())
        ]
        for grey, label in LEVELS.items():
            counts = [(mask == grey).sum() for mask in masks]
            np.testing.assert_array_equal(counts, (truth == label).sum(axis=(0, 1))[::-1])  # the head first
        liver = np.argwhere(np.stack(masks) == 63)
        assert liver[:, 2].mean() < 24  # on the image's left


def test_headers_tell_series_and_echo_times(chaos):
    folder = next((chaos / "Test_Sets" / "MR").iterdir())
    uids, times, instances = set(), {}, set()
    for part in ("T1DUAL/DICOM_anon/InPhase", "T1DUAL/DICOM_anon/OutPhase", "T2SPIR/DICOM_anon"):
        slices = series(folder / part)
        assert len({slice_.SeriesInstanceUID for slice_ in slices}) == 1
        uids.add(slices[0].SeriesInstanceUID)
        times[part] = slices[0].EchoTime
        instances |= {slice_.SOPInstanceUID for slice_ in slices}
        heights = [slice_.ImagePositionPatient[2] for slice_ in slices]
        np.testing.assert_allclose(np.diff(heights), -float(slices[0].SpacingBetweenSlices), atol=1e-3)
        assert slices[0].Modality == "MR"
    assert len(uids) == 3
    assert len(instances) == 18
    assert times["T1DUAL/DICOM_anon/OutPhase"] < times["T1DUAL/DICOM_anon/InPhase"] < times["T2SPIR/DICOM_anon"]
