import contextlib
from pathlib import Path

import numpy as np
import pytest
from dicom_files import change
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.uid import MRImageStorage

from trainables.common.errors import DataError
from trainables.data.readers.dicom import read_dicom_header
from trainables.data.readers.dicom_file import is_dicom
from trainables.data.readers.dicom_pixels import read_dicom_frames
from trainables.phantom.writers.dicom_file import write_dicom

PIXELS = np.random.default_rng(0).integers(0, 900, (6, 8)).astype(np.uint16)
TAGS = {
    "PatientID": "someone",
    "SeriesInstanceUID": "1.2.3",
    "SeriesNumber": 14001,
    "SeriesDescription": "cine 4CH",
    "ImagePositionPatient": [10, -20, 30],
    "ImageOrientationPatient": [0.6, 0.8, 0, 0, 0, -1],
    "PixelSpacing": [1.5, 1.25],
    "TriggerTime": 36.5,
    "InstanceNumber": 2,
}


@pytest.fixture
def path(tmp_path) -> Path:
    write_dicom(tmp_path / "a.dcm", MRImageStorage, PIXELS, TAGS)
    return tmp_path / "a.dcm"


def test_a_header_says_what_was_written(path):
    header = read_dicom_header(path)
    assert is_dicom(path)
    assert (header.patient, header.series, header.number, header.description) == (
        "someone", "1.2.3", 14001, "cine 4CH",
    )  # fmt: skip
    assert (header.frames, header.shape, header.spacing, header.times, header.instances) == (
        1, (6, 8), (1.5, 1.25), (36.5,), (2,),
    )  # fmt: skip


def test_a_pixel_lies_where_the_standard_puts_it(path):
    """PS3.3, C.7.6.2.1.1: columns step along the first direction by the second spacing."""
    plane, (row, column) = read_dicom_header(path).plane, (4, 7)
    expected = np.array([10, -20, 30]) + column * 1.25 * np.array([0.6, 0.8, 0]) + row * 1.5 * np.array([0, 0, -1])
    np.testing.assert_allclose(plane[0] + row * plane[1] + column * plane[2], expected)


@pytest.mark.parametrize(
    ("tags", "spacing", "placed"),
    [
        ({"ImagePositionPatient": None}, (1.5, 1.25), False),
        ({"ImageOrientationPatient": None}, (1.5, 1.25), False),
        ({"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]}, (1.5, 1.25), False),
        ({"ImageOrientationPatient": [0, 0, 0, 0, 0, 0]}, (1.5, 1.25), False),
        ({"PixelSpacing": None}, None, False),
        ({"PixelSpacing": [0, 1]}, None, False),
        ({"SeriesNumber": None, "TriggerTime": None}, (1.5, 1.25), True),
    ],
)
def test_geometry_that_is_missing_or_impossible_is_none(path, tags, spacing, placed):
    header = read_dicom_header(change(path, **tags))
    assert header.spacing == spacing
    assert (header.plane is not None) == placed


def test_a_cine_has_frames_and_its_calibrated_region_the_spacing(tmp_path):
    region = Dataset()
    region.PhysicalUnitsXDirection = region.PhysicalUnitsYDirection = 3
    region.PhysicalDeltaX, region.PhysicalDeltaY = 0.05, -0.04  # cm; a sign only says which way it runs
    cine = np.arange(5 * 6 * 8, dtype=np.uint8).reshape(5, 6, 8)
    write_dicom(tmp_path / "a.dcm", MRImageStorage, cine, {"SequenceOfUltrasoundRegions": [region]})
    header = read_dicom_header(tmp_path / "a.dcm")
    assert (header.frames, header.spacing, header.plane) == (5, pytest.approx((0.4, 0.5)), None)
    np.testing.assert_array_equal(read_dicom_frames(tmp_path / "a.dcm"), cine)
    region.PhysicalUnitsXDirection = 4  # seconds
    write_dicom(tmp_path / "b.dcm", MRImageStorage, cine, {"SequenceOfUltrasoundRegions": [region]})
    assert read_dicom_header(tmp_path / "b.dcm").spacing is None


def test_faults_are_one_clear_error(path, tmp_path):
    (tmp_path / "text.dcm").write_text("hello")
    for name, text in (("no.dcm", "no.dcm: not a readable DICOM file"), ("text.dcm", "text.dcm: not a readable")):
        for read in (read_dicom_header, read_dicom_frames):
            with pytest.raises(DataError, match=text):
                read(tmp_path / name)
        assert not is_dicom(tmp_path / name)
    content = path.read_bytes()
    path.write_bytes(content[:-20])
    with pytest.raises(DataError, match=r"a\.dcm: pixels cannot be decoded"):
        read_dicom_frames(path)
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.dcm: no image \(found 0 rows and 8 columns\)"):
        read_dicom_header(change(path, Rows=0))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"\x28\x00\x10\x00US", b"\x28\x00\x10\x00XX"),  # Rows, of a kind that does not exist
        (b"\x20\x00\x0e\x00UI", b"\x20\x00\x0e\x00ZZ"),  # SeriesInstanceUID, of none
        (b"\x18\x00\x60\x10DS", b"\x18\x00\x60\x10FD"),  # TriggerTime, four bytes of a number of eight
    ],
)
def test_a_value_that_cannot_be_decoded_is_one_clear_error(path, before, after):
    content = path.read_bytes()
    assert content.count(before) == 1
    path.write_bytes(content.replace(before, after))
    with pytest.raises(DataError, match=r"a\.dcm: damaged DICOM file"):
        read_dicom_header(path)


@pytest.mark.filterwarnings("ignore:Invalid value")
def test_a_number_beyond_all_bounds_is_none(path):
    content = path.read_bytes()
    assert content.count(b"IS\x02\x002 ") == 1  # InstanceNumber
    path.write_bytes(content.replace(b"IS\x02\x002 ", b"IS\x06\x001e9999"))
    assert read_dicom_header(path).instances == (0,)


CHANGES = st.lists(st.tuples(st.integers(132, 2000), st.integers(0, 255)), max_size=5)


@settings(max_examples=80, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=CHANGES, end=st.none() | st.integers(0, 900))
@pytest.mark.filterwarnings("ignore")  # pydicom warns of what is damaged
def test_no_damaged_byte_makes_the_reader_crash(path, changes, end):
    write_dicom(path, MRImageStorage, PIXELS, TAGS)
    content = bytearray(path.read_bytes())
    for place, value in changes:
        content[place % len(content)] = value
    path.write_bytes(content[:end])
    for read in (read_dicom_header, read_dicom_frames):
        with contextlib.suppress(DataError):
            read(path)
