"""Tables of predictions: a ventricle of two views has the volume of its half axes, whatever the order of the views."""

import csv
import io

import numpy as np
import pytest

from study.prediction.tables import frame_table, subject_table
from trainables.data.layouts.camus import Camus
from trainables.data.records import SequenceRecord
from trainables.data.store.resize import PixelGrid
from trainables.prediction.decoding import DecodedImage
from trainables.prediction.measures import measure
from trainables.prediction.results import ResultFolder
from trainables.prediction.sources import ImageSource

CLASSES = ("background", "lv")
WHOLE = {"sequence": "s.nii.gz"}
LENGTHS = (50, 40)
"""Half the long axis at end-diastole and end-systole, in mm."""


def ellipse(height: float, width: float) -> np.ndarray:
    rows, columns = np.mgrid[:128, :128] - 63.5
    return ((rows / height) ** 2 + (columns / width) ** 2 <= 1).astype(np.uint8)


def segmented(folder, subject, view, widths, *, spacing=(1.0, 1.0), number=0, files=WHOLE):
    """Write the record of a sequence whose cavity is an ellipse of these half widths at both moments."""
    name = f"{subject}_{view}_{number}"
    (folder.root / f"{name}.npy").write_bytes(b"image")
    record = SequenceRecord(subject, name, view, spacing=spacing, files=files)
    source = ImageSource(name, name, folder.root / f"{name}.npy", Camus(), folder.root, (record,))
    pixels = np.zeros((2, 1, 128, 128), np.uint8)
    grid = PixelGrid.stretched((128, 128), 128)
    image = DecodedImage(source, pixels, pixels, grid, 1, False, spacing, None, None, None, None)
    masks = np.stack([ellipse(length, width) for length, width in zip(LENGTHS, widths, strict=True)])
    folder.complete(source, [], measure(image, masks, CLASSES, apical=True))


def read(root):
    return ResultFolder(root, "key", b"secret").others(())


def rows(root):
    text = subject_table(read(root))
    return list(csv.DictReader(io.StringIO(text))) if text is not None else None


def test_two_views_give_the_volume_of_an_ellipsoid_with_three_axes(tmp_path):
    folder = ResultFolder(tmp_path, "key", b"secret")
    segmented(folder, "Jane", "4CH", (20, 15))
    segmented(folder, "Jane", "2CH", (30, 25))
    (found,) = rows(tmp_path)
    edv, esv = (4 / 3 * np.pi * a * b * c / 1000 for a, b, c in zip(LENGTHS, (20, 15), (30, 25), strict=True))
    assert float(found["edv"]) == pytest.approx(edv, rel=0.05)
    assert float(found["esv"]) == pytest.approx(esv, rel=0.05)
    assert float(found["ef"]) == pytest.approx(100 * (1 - esv / edv), abs=2)
    assert (found["2CH"], found["4CH"]) == ("Jane_2CH_0", "Jane_4CH_0")
    assert "Jane" not in found["subject"]


def test_frames_with_files_of_their_own_are_named_by_them(tmp_path):
    folder = ResultFolder(tmp_path, "key", b"secret")
    segmented(folder, "Jane", "4CH", (20, 15))
    files = {"ED": "ed.nii.gz", "ES": "es.nii.gz"}
    segmented(folder, "Joe", "4CH", (20, 15), files=files)
    table = list(csv.DictReader(io.StringIO(frame_table(read(tmp_path), CLASSES))))
    assert [row["file"] for row in table] == ["Jane_4CH_0", "Jane_4CH_0", "ed.nii.gz", "es.nii.gz"]


def test_a_subject_without_two_measured_views_or_with_several_of_one_has_no_row(tmp_path):
    folder = ResultFolder(tmp_path, "key", b"secret")
    segmented(folder, "one_view", "4CH", (20, 15))
    segmented(folder, "no_spacing", "4CH", (20, 15))
    segmented(folder, "no_spacing", "2CH", (20, 15), spacing=None)
    for number in (0, 1):
        segmented(folder, "three", "4CH", (20, 15), number=number)
    segmented(folder, "three", "2CH", (20, 15))
    assert rows(tmp_path) is None
