import os
from pathlib import Path

import numpy as np
import pydicom
import pytest

from trainables.common.errors import DataError
from trainables.data.layouts.cardiac_dicom import CardiacDicom
from trainables.data.readers.dicom import read_dicom_header
from trainables.data.readers.grey import percentile_window
from trainables.data.settings import DataSettings
from trainables.data.store.check import check
from trainables.phantom import PHANTOMS, PhantomSettings

REALDATA = Path(os.environ.get("STUDY_REALDATA", Path(__file__).resolve().parents[5] / "shared" / "realdata"))
REAL = REALDATA / "cardiac_mr_dicom"
needs_real = pytest.mark.skipif(not REAL.is_dir(), reason=f"the real cardiac MR sample is not at {REAL}")


@pytest.fixture
def root(tmp_path):
    PHANTOMS["cardiac_dicom"].write(tmp_path, PhantomSettings(subjects=1, frames=8, size=32, slices=4), None)
    return tmp_path


def rewrite(folder, change):
    for path in folder.glob("*.dcm"):
        header = pydicom.dcmread(path)
        change(header)
        header.save_as(path)


def views(root, **settings):
    found: dict[str, list[int]] = {}
    for record in CardiacDicom(**settings).scan(root).records:
        found.setdefault(record.view, []).append(int(record.sequence.rsplit("_", 1)[1]))
    return {view: sorted(series) for view, series in found.items()}


def issues(root, **settings):
    report = check(DataSettings(layout=CardiacDicom(**settings)), root)
    return {issue.kind: (issue.file, issue.place, issue.skipped) for issue in report.issues}


def test_views_by_description_and_by_parallel_planes(root):
    assert views(root) == {"SA": [1, 2, 3, 4], "2CH": [5], "4CH": [6]}


def test_moments_come_in_the_order_of_their_times_whatever_the_files_names(root):
    folder = root / "subject001" / "Se6"
    times, header = {}, None
    for path in folder.glob("*.dcm"):
        header = pydicom.dcmread(path)
        times[float(header.TriggerTime)] = header.pixel_array
    for number, path in enumerate(sorted(folder.glob("*.dcm"), reverse=True)):
        path.rename(folder / f"x{number}.dcm")
    (record,) = (record for record in CardiacDicom().scan(root).records if record.view == "4CH")
    pixels = CardiacDicom().read(root, record)
    np.testing.assert_array_equal(
        pixels.images[:, 0], percentile_window(np.stack([times[time] for time in sorted(times)]))
    )
    across, down = np.array(header.ImageOrientationPatient, float).reshape(2, 3)  # PS3.3, C.7.6.2.1.1
    row_mm, column_mm = map(float, header.PixelSpacing)
    for plane in pixels.planes:
        np.testing.assert_allclose(plane, [header.ImagePositionPatient, row_mm * down, column_mm * across], atol=1e-9)
    assert record.spacing == (row_mm, column_mm)
    assert record.frames == len(times) == 8


def test_a_series_may_be_named_or_excluded_by_its_number(root):
    assert views(root, series=("6=2CH", "5="))["2CH"] == [6]
    with pytest.raises(ValueError, match="series '6=5CH': expected NUMBER=VIEW"):
        CardiacDicom(series=("6=5CH",))


def test_a_description_that_the_geometry_contradicts_is_not_believed(root):
    rewrite(root / "subject001" / "Se2", lambda header: setattr(header, "SeriesDescription", "cine 4CH"))
    assert views(root)["4CH"] == [6]
    assert issues(root)["view uncertain"][1:] == ("series 2", "series")


def test_planted_faults_are_named(root):
    rewrite(root / "subject001" / "Se5", lambda header: delattr(header, "ImagePositionPatient"))
    rewrite(root / "subject001" / "Se6", lambda header: setattr(header, "SeriesDescription", "other"))
    broken = root / "subject001" / "Se1" / "0001.dcm"
    broken.write_bytes(broken.read_bytes()[:400])
    found = issues(root)
    assert found["geometry missing"][2] == "image"
    assert found["view unknown"][1:] == ("series 6", "series")
    assert {"unreadable header", "unreadable sequence"} & found.keys()


def test_a_subject_without_a_stack(root):
    for number in (1, 2):
        for path in (root / "subject001" / f"Se{number}").glob("*"):
            path.unlink()
    assert views(root) == {"2CH": [5], "4CH": [6]}
    assert issues(root)["view missing"][0] == "subject001"


def test_a_series_whose_images_differ_in_size(root):
    path = root / "subject001" / "Se6" / "0004.dcm"
    dataset = pydicom.dcmread(path)
    dataset.Rows, dataset.PixelData = 31, dataset.PixelData[: 31 * 32 * 2]
    dataset.save_as(path)
    found = issues(root)["unreadable sequence"]
    assert found == ("subject001/Se6/0004.dcm", "", "sequence")


@needs_real
def test_series_of_the_real_sample_may_be_named_by_their_numbers():
    series = ("16001=3CH", "19001=", "14001=")
    scan = CardiacDicom(series=series).scan(REAL)
    found = views(REAL, series=series)
    assert (found["3CH"], found["2CH"], len(found["SA"])) == ([16001], [17001], 6)
    assert "4CH" not in found
    assert scan.issues == ()


def test_a_file_with_other_pixels_than_its_header_says(root):
    path = root / "subject001" / "Se6" / "0003.dcm"
    path.write_bytes(path.read_bytes()[:-300])
    assert issues(root)["unreadable sequence"] == ("subject001/Se6/0003.dcm", "", "sequence")


def test_another_folder_is_one_clear_error(tmp_path):
    with pytest.raises(DataError, match="no cine series"):
        CardiacDicom().scan(tmp_path)
    (tmp_path / "text.dcm").write_text("hello")
    with pytest.raises(DataError, match=r"text\.dcm: not a readable DICOM file"):
        read_dicom_header(tmp_path / "text.dcm")


@needs_real
def test_the_views_of_the_real_sample():
    scan = CardiacDicom().scan(REAL)
    assert views(REAL) == {
        "SA": [7001, 8001, 9001, 10001, 11001, 12001],
        "2CH": [17001],
        "4CH": [14001],
        "RVOT": [22001],
    }
    doubted = {issue.place for issue in scan.issues if issue.kind == "view uncertain"}
    assert doubted == {"series 16001", "series 19001"}  # a 3CH called 4CH, and the right heart's 2CH
    stack = [record for record in scan.records if record.view == "SA"]
    origins, shapes = [], set()
    for record in scan.records:
        pixels = CardiacDicom().read(REAL, record)
        assert (len(pixels.images), record.spacing) == (5, (1.40625, 1.40625))
        shapes.add(pixels.images.shape[2:])
        if record in stack:
            plane = pixels.planes[0]
            normal = np.cross(plane[1], plane[2])
            origins.append(plane[0] @ normal / np.linalg.norm(normal))
    assert shapes == {(208, 256), (256, 208)}
    np.testing.assert_allclose(np.abs(np.diff(origins)), 17.7, atol=0.1)
