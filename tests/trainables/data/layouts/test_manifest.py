import contextlib
import csv
import shutil
from pathlib import Path

import cv2
import nibabel as nib
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import examples

from trainables.common.errors import DataError
from trainables.data.layouts.manifest import Manifest
from trainables.data.settings import DataSettings
from trainables.data.store.check import check
from trainables.phantom import PHANTOMS, PhantomSettings
from trainables.phantom.imaging.cine import draw_cine
from trainables.phantom.writers.camus import half_cycle, truth

PHANTOM = PhantomSettings(subjects=7, frames=8, size=48, seed=1, fractions=(0.5, 0.25, 0.25))
COLUMNS = ("subject", "split", "image", "mask", "view", "frame")


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("manifest")
    PHANTOMS["manifest"].write(root, PHANTOM, None)
    return root


@pytest.fixture
def root(tmp_path) -> Path:
    """One subject of two pictures, the first with a mask."""
    cv2.imwrite(str(tmp_path / "a.png"), np.full((12, 10), 90, np.uint8))
    cv2.imwrite(str(tmp_path / "b.png"), np.full((12, 10), 120, np.uint8))
    mask = np.zeros((12, 10), np.uint8)
    mask[3:6, 2:7] = 5
    cv2.imwrite(str(tmp_path / "m.png"), mask)
    (tmp_path / "classes.csv").write_text("value,name\n0,background\n5,lv\n")
    return tmp_path


def table(root: Path, *rows: tuple[object, ...], columns=COLUMNS) -> Path:
    with (root / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
    return root


def issues(root: Path) -> dict[str, tuple[str, str, str]]:
    report = check(DataSettings(layout=Manifest()), root)
    return {issue.kind: (issue.file, issue.place, issue.skipped) for issue in report.issues}


def test_every_kind_of_file_gives_back_what_was_written(written):
    layout = Manifest(time=True)
    records = {record.subject: record for record in layout.scan(written).records}
    kinds = {}
    for name, record in records.items():
        cine, pixels = draw_cine(PHANTOM, name, "4CH"), layout.read(written, record)
        kind = Path(next(iter(record.files.values()))).suffix
        kinds[kind] = name
        whole = kind != ".png"
        images = cine.images if whole else half_cycle(cine)[0]
        close = 12 if kind in (".avi", ".mp4") else 0  # lossy
        assert np.abs(pixels.images[:, 0].astype(int) - images).mean() <= close
        for frame, mask in pixels.masks.items():
            expected = truth(cine, frame) if whole else half_cycle(cine)[1][frame]
            np.testing.assert_array_equal(mask, expected)
        if whole:
            ends = {cine.end_diastole, cine.end_systole}
            assert ends <= set(pixels.masks)
        assert record.spacing == pytest.approx((cine.millimetres / 48,) * 2, rel=1e-3)
    assert set(kinds) == {".png", ".gz", ".dcm", ".mhd", ".avi", ".mp4"}


def test_a_file_of_slices_is_a_volume_unless_said_otherwise(written):
    stacks = {record.subject for record in Manifest().scan(written).records if record.stack}
    assert len(stacks) == 2  # NIfTI and MetaImage
    assert not any(record.stack for record in Manifest(time=True).scan(written).records)


def test_pictures_are_one_sequence_in_the_order_of_their_frames(root):
    table(root, ("p", "", "b.png", "", "4CH", 9), ("p", "", "a.png", "m.png", "4CH", 2))
    (record,) = Manifest().scan(root).records
    pixels = Manifest().read(root, record)
    assert (record.frames, dict(record.labelled), record.split, record.view) == (2, {0: ""}, None, "4CH")
    assert pixels.images[:, 0, 0, 0].tolist() == [90, 120]
    assert np.argwhere(pixels.masks[0] == 1).min(axis=0).tolist() == [3, 2]


def test_further_columns(root):
    columns = (*COLUMNS, "phase", "row_mm", "column_mm", "ef")
    table(root, ("p", "val", "a.png", "m.png", "", "", "es", "0.5", "0.25", "61"), columns=columns)
    (record,) = Manifest().scan(root).records
    assert (record.labelled, record.spacing, record.clinical, record.split) == (
        {0: "ES"},
        (0.5, 0.25),
        {"ef": 61.0},
        "val",
    )


@pytest.mark.parametrize(
    ("rows", "kind", "place", "skipped"),
    [
        ([("p", "", "no.png", "", "", "")], "missing image", "row 2", "sequence"),
        ([("p", "", "a.png", "no.png", "", "")], "missing mask", "row 2", "mask"),
        ([("p", "", "a.xyz", "", "", "")], "unreadable row", "row 2", "sequence"),
        ([("p", "", "a.png", "v.avi", "", "")], "unreadable row", "row 2", "sequence"),
        ([("", "", "a.png", "", "", "")], "unreadable row", "row 2", "sequence"),
        ([("p", "", "a.png", "", "", "-1")], "unreadable row", "row 2", "sequence"),
        ([("p", "later", "a.png", "", "", "")], "unreadable row", "row 2", "sequence"),
        ([("p", "", "../a.png", "", "", "")], "path outside the dataset", "row 2", "sequence"),
        ([("p", "", "a.png", "/etc/passwd", "", "")], "path outside the dataset", "row 2", "sequence"),
        ([("p", "", "a.png", "C:\\m.png", "", "")], "path outside the dataset", "row 2", "sequence"),
        ([("p", "", "..\\a.png", "", "", "")], "path outside the dataset", "row 2", "sequence"),
        ([("p", "", "\\\\host\\a.png", "", "", "")], "path outside the dataset", "row 2", "sequence"),
        ([("p", "", "C:a.png", "", "", "")], "path outside the dataset", "row 2", "sequence"),
        ([("p", "", "a.png", "b/../../m.png", "", "")], "path outside the dataset", "row 2", "sequence"),
        ([("p", "", "a\0.png", "", "", "")], "path outside the dataset", "row 2", "sequence"),
        ([("p", "", "a.png", "m.png", "", 0), ("p", "", "a.png", "m.png", "", 0)], "listed twice", "row 3", "row"),
        ([("p", "", "a.png", "", "", 0), ("p", "", "./a.png", "m.png", "", 1)], "listed twice", "row 3", "row"),
        ([("p", "train", "a.png", "", "", ""), ("q", "test", "a.png", "", "", "")], "listed twice", "row 3", "row"),
        (
            [("p", "train", "a.png", "", "x", ""), ("p", "test", "b.png", "", "y", "")],
            "subject in two splits",
            "row 3",
            "row",
        ),
    ],
)
def test_planted_faults_are_named(root, rows, kind, place, skipped):
    table(root, *rows)
    assert issues(root)[kind] == ("manifest.csv", place, skipped)


def test_masks_that_cannot_be_used(root):
    cv2.imwrite(str(root / "m.png"), np.full((12, 10), 9, np.uint8))
    table(root, ("p", "", "a.png", "m.png", "", ""))
    assert issues(root)["unknown label"] == ("m.png", "", "mask")
    cv2.imwrite(str(root / "m.png"), np.full((12, 11), 5, np.uint8))
    assert issues(root)["mask size differs from the image"] == ("m.png", "", "mask")
    cv2.imwrite(str(root / "m.png"), np.zeros((12, 10), np.uint8))
    assert issues(root)["background only"] == ("m.png", "", "")
    (root / "m.png").write_bytes(b"not a picture")
    assert issues(root)["unreadable mask"] == ("m.png", "", "mask")


def test_images_that_cannot_be_used(root):
    table(root, ("p", "", "a.png", "", "", 0), ("p", "", "b.png", "", "", 1))
    assert issues(root)["spacing missing"] == ("a.png", "", "")
    cv2.imwrite(str(root / "b.png"), np.full((12, 11), 9, np.uint8))
    assert issues(root)["unreadable sequence"] == ("b.png", "", "sequence")
    (root / "a.nii").write_bytes(b"no")
    table(root, ("p", "", "a.nii", "", "", ""))
    assert issues(root)["unreadable image"] == ("a.nii", "", "sequence")


def test_a_volume_is_listed_once_for_each_mask(root):
    nib.save(nib.Nifti1Image(np.ones((10, 12, 3), np.uint8), np.diag([-1, -1, 4, 1])), root / "v.nii")
    rows = [("p", "", "v.nii", "m.png", "", 0), ("p", "", "v.nii", "m.png", "", 2), ("p", "", "v.nii", "", "", "")]
    table(root, *rows)
    assert issues(root) == {}
    assert set(Manifest().scan(root).records[0].labelled) == {0, 2}
    table(root, *rows, ("p", "", "v.nii", "m.png", "", 2), ("p", "", "v.nii", "m.png", "other", 1))
    assert [issue.place for issue in Manifest().scan(root).issues] == ["row 5", "row 6"]
    assert len(Manifest().scan(root).records) == 1


def test_an_echo_cine_of_a_scanner(root):
    shutil.copy(examples.get_path("ybr_color"), root / "cine.dcm")
    mask = np.zeros((240, 320), np.uint8)
    mask[100:140, 90:200] = 5
    cv2.imwrite(str(root / "m.png"), mask)
    table(root, ("p", "", "cine.dcm", "m.png", "4CH", 29), ("p", "", "cine.dcm", "m.png", "4CH", 30))
    (record,) = Manifest().scan(root).records
    assert (record.frames, record.stack, record.spacing) == (30, False, pytest.approx((0.510497, 0.510497), abs=1e-5))
    pixels = Manifest().read(root, record)
    assert pixels.images.shape == (30, 1, 240, 320)
    np.testing.assert_array_equal(pixels.masks[29] == 1, mask == 5)
    found = {"traced frame past the end": ("m.png", "", "mask"), "colours read as grey": ("", "", "")}
    assert issues(root) == found
    assert Manifest(channels="rgb").read(root, record).images.shape == (30, 3, 240, 320)


def test_a_subject_in_two_splits_stays_where_it_is_never_trained_on(root):
    table(root, ("p", "test", "a.png", "", "x", ""), ("p", "train", "b.png", "", "y", ""))
    assert {record.split for record in Manifest().scan(root).records} == {"test"}


def test_a_mask_past_the_end_of_a_video(written, tmp_path):
    rows = list(csv.DictReader((written / "manifest.csv").open()))
    row = next(row for row in rows if row["image"].endswith(".avi"))
    for name in ("image", "mask"):
        (tmp_path / row[name]).parent.mkdir(exist_ok=True)
        (tmp_path / row[name]).write_bytes((written / row[name]).read_bytes())
    (tmp_path / "classes.csv").write_bytes((written / "classes.csv").read_bytes())
    table(tmp_path, ("p", "", row["image"], row["mask"], "", 99))
    assert issues(tmp_path)["traced frame past the end"] == (row["mask"], "", "mask")


@pytest.mark.parametrize(
    "content",
    [
        "value,name\n1,a\n1,b\n",
        "value,name\n1,a\n2,a\n",
        "value,name\nx,a\n",
        "value\n1\n",
        "value,name\n5,background\n",
    ],
)
def test_a_list_of_classes_that_is_none_is_one_clear_error(root, content):
    (root / "classes.csv").write_text(content)
    table(root, ("p", "", "a.png", "m.png", "", ""))
    with pytest.raises(DataError, match=r"classes\.csv"):
        Manifest().scan(root)


def test_masks_without_classes_and_an_empty_manifest(root):
    (root / "classes.csv").unlink()
    table(root, ("p", "", "a.png", "m.png", "", ""))
    with pytest.raises(DataError, match=r"classes\.csv: no such file, expected the masks' values"):
        Manifest().scan(root)
    (root / "classes.csv").write_text("value,name\n0,background\n")
    with pytest.raises(DataError, match=r"classes\.csv: no structure is listed, expected the masks' values above 0"):
        Manifest().scan(root)
    for row, problem in {
        "-1,lv": "expected a whole number from 0 up as the value",
        "2,lv": "the name is that of another value",
        "1,la": "the value is listed twice",
        "3,": "expected a name",
    }.items():
        (root / "classes.csv").write_text(f"value,name\n1,lv\n{row}\n")
        with pytest.raises(DataError, match=rf"classes\.csv, row 3: '{row}', {problem}"):
            Manifest().scan(root)
    (root / "classes.csv").unlink()
    table(root)
    with pytest.raises(DataError, match="no rows"):
        Manifest().scan(root)


def test_a_row_with_fewer_cells_than_columns_is_noted(root):
    (root / "manifest.csv").write_text("subject,image,mask\np,a.png,m.png\nq,a.png\n")
    listing = Manifest().scan(root)
    (note,) = [issue for issue in listing.issues if issue.kind == "short row"]
    assert (note.place, note.severity) == ("row 3", "note")
    assert note.message == "2 cells for 3 columns; the others count as empty"


LIKELY = ["a.png", "m.png", "p", "train", "0", "1e9", "ED", "..", "", "\0", "\\"]
CELL = st.one_of(st.sampled_from(LIKELY), st.text(max_size=5))
FUZZ = settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@FUZZ
@given(
    rows=st.lists(st.lists(CELL, min_size=1, max_size=8), max_size=4),
    classes=st.one_of(st.binary(max_size=30), st.lists(st.tuples(CELL, CELL), max_size=3)),
    raw=st.one_of(st.none(), st.binary(max_size=40)),
)
def test_no_table_makes_the_reader_crash(root, rows, classes, raw):
    if isinstance(classes, bytes):
        (root / "classes.csv").write_bytes(classes)
    else:
        with (root / "classes.csv").open("w", newline="", errors="replace") as file:
            csv.writer(file).writerows([("value", "name"), *classes])
    if raw is not None:
        (root / "manifest.csv").write_bytes(raw)
    else:
        with (root / "manifest.csv").open("w", newline="", errors="replace") as file:
            csv.writer(file).writerows([(*COLUMNS, "phase", "ef"), *rows])
    with contextlib.suppress(DataError):
        check(DataSettings(layout=Manifest()), root)
