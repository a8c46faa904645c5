import contextlib
import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from skimage.draw import polygon

from trainables.common.errors import DataError
from trainables.data.layouts.echonet import FILE_LIST_COLUMNS, TRACINGS_COLUMNS, EchoNetDynamic
from trainables.phantom.imaging.cine import draw_cine
from trainables.phantom.writers.echonet import write_avi

LAYOUT = EchoNetDynamic()


@pytest.fixture
def root(echonet_root, tmp_path) -> Path:
    copy = tmp_path / "echonet"
    shutil.copytree(echonet_root, copy)
    return copy


def rewrite(path: Path, change) -> None:
    with path.open(newline="") as file:
        rows = list(csv.reader(file))
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(change(rows))


def issues(root: Path) -> dict[str, tuple[str, str, str]]:
    scan = LAYOUT.scan(root)
    found = list(scan.issues)
    for record in scan.records:
        found.extend(LAYOUT.read(root, record).issues)
    return {issue.kind: (issue.file, issue.place, issue.skipped) for issue in found}


def test_a_clean_dataset_has_no_faults(echonet_root):
    assert issues(echonet_root) == {}


def test_masks_are_those_of_the_phantom(echonet_root, small_phantom):
    overlaps = []
    for record in LAYOUT.scan(echonet_root).records:
        cine, pixels = draw_cine(small_phantom, record.subject), LAYOUT.read(echonet_root, record)
        assert {phase: frame for frame, phase in record.labelled.items()} == {
            "ED": cine.end_diastole,
            "ES": cine.end_systole,
        }
        assert pixels.images.shape == (16, 1, 112, 112)
        assert np.abs(pixels.images[:, 0].astype(int) - cine.images).mean() < 3
        for frame, mask in pixels.masks.items():
            truth = cine.left_ventricle(frame)
            overlaps.append((truth & (mask == 1)).sum() / (truth | (mask == 1)).sum())
    assert len(overlaps) == 16
    assert np.mean(overlaps) > 0.97
    assert min(overlaps) > 0.93


def test_masks_are_drawn_as_the_reference_draws_them(echonet_root):
    record = LAYOUT.scan(echonet_root).records[0]
    masks = LAYOUT.read(echonet_root, record).masks
    with (echonet_root / "VolumeTracings.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["FileName"] == f"{record.subject}.avi"]
    for frame, mask in masks.items():
        chords = [row for row in rows if int(row["Frame"]) == frame]
        x1, y1, x2, y2 = (np.array([float(row[key]) for row in chords]) for key in ("X1", "Y1", "X2", "Y2"))
        x, y = np.concatenate([x1[1:], x2[1:][::-1]]), np.concatenate([y1[1:], y2[1:][::-1]])
        expected = np.zeros((112, 112), np.uint8)
        expected[polygon(np.rint(y).astype(int), np.rint(x).astype(int), (112, 112))] = 1
        np.testing.assert_array_equal(mask, expected)


def test_end_diastole_is_the_larger_area_whatever_the_order_in_the_table(root):
    before = {record.subject: record.labelled for record in LAYOUT.scan(root).records}
    rewrite(root / "VolumeTracings.csv", lambda rows: rows[:1] + sorted(rows[1:], key=lambda row: -int(row[5])))
    assert {record.subject: record.labelled for record in LAYOUT.scan(root).records} == before


def test_clinical_values_and_split_come_from_the_file_list(echonet_root):
    with (echonet_root / "FileList.csv").open(newline="") as file:
        rows = {row["FileName"]: row for row in csv.DictReader(file)}
    for record in LAYOUT.scan(echonet_root).records:
        row = rows[record.subject]
        assert record.clinical == {key: float(row[key.upper()]) for key in ("ef", "esv", "edv")}
        assert record.split == row["Split"].lower()
        ef = 100 * (record.clinical["edv"] - record.clinical["esv"]) / record.clinical["edv"]
        assert record.clinical["ef"] == pytest.approx(ef, abs=0.01)


def first(rows):
    return rows[1][0]


def format_issues(change):
    return lambda root: rewrite(root / "FileList.csv", change)


def tracings(change):
    return lambda root: rewrite(root / "VolumeTracings.csv", change)


def set_cell(row: int, column: int, value: str):
    return lambda rows: [
        [value if (r, c) == (row, column) else cell for c, cell in enumerate(cells)] for r, cells in enumerate(rows)
    ]


def scale(factor: float):
    def change(rows):
        return rows[:1] + [
            [row[0], *(str(float(v) * factor) for v in row[1:5]), row[5]] if 1 <= n <= 21 else row
            for n, row in enumerate(rows[1:], 1)
        ]

    return change


PLANTED = {
    "missing video": (
        lambda root: next((root / "Videos").iterdir()).unlink(),
        ("FileList.csv", None, "sequence"),
    ),
    "path outside the dataset": (format_issues(set_cell(2, 0, "../../secret")), ("FileList.csv", "row 3", "sequence")),
    "listed twice": (format_issues(lambda rows: [*rows, rows[1]]), ("FileList.csv", "row 10", "sequence")),
    "unknown split": (format_issues(set_cell(4, 8, "DEV")), ("FileList.csv", "row 5", "sequence")),
    "clinical value missing": (format_issues(set_cell(1, 1, "n/a")), ("FileList.csv", "row 2", "")),
    "frame count missing": (format_issues(set_cell(1, 7, "")), ("FileList.csv", "row 2", "")),
    "frame count differs from the table": (format_issues(set_cell(1, 7, "99")), (None, "", "")),
    "frame size differs from the table": (format_issues(set_cell(1, 4, "768")), (None, "", "")),
    "traced video not listed": (
        tracings(lambda rows: [*rows, ["0XNO.avi", *rows[1][1:]]]),
        ("VolumeTracings.csv", "row 338", ""),
    ),
    "no tracing": (tracings(lambda rows: [row for row in rows if row[0] != first(rows)]), ("FileList.csv", None, "")),
    "unreadable tracing row": (tracings(set_cell(30, 2, "left")), ("VolumeTracings.csv", "row 31", "row")),
    "tracing rows other than 21": (tracings(lambda rows: rows[:5] + rows[6:]), ("VolumeTracings.csv", "row 2", "")),
    "traced frame past the end": (
        tracings(lambda rows: [[*row[:5], "400"] if 1 <= n <= 21 else row for n, row in enumerate(rows)]),
        (None, "frame 400", "mask"),
    ),
    "empty mask": (
        tracings(
            lambda rows: [
                [row[0], "500", "500", "510", "500", row[5]] if 1 <= n <= 21 else row for n, row in enumerate(rows)
            ]
        ),
        (None, None, "mask"),
    ),
    "tracing outside the image": (tracings(scale(1.7)), (None, None, "")),
}


@pytest.mark.parametrize("kind", PLANTED)
def test_each_planted_fault_is_reported_with_its_file_and_place(kind, root):
    plant, expected = PLANTED[kind]
    plant(root)
    found = issues(root)
    assert kind in found
    for value, wanted in zip(found[kind], expected, strict=True):
        assert wanted is None or value == wanted


def test_a_frame_with_hardly_any_rows_loses_its_mask(root):
    rewrite(root / "VolumeTracings.csv", lambda rows: rows[:4] + rows[22:])
    (issue,) = LAYOUT.scan(root).issues
    assert (issue.kind, issue.severity, issue.skipped) == ("tracing rows other than 21", "loss", "mask")
    assert sorted(len(record.labelled) for record in LAYOUT.scan(root).records) == [1] + [2] * 7


names = st.sampled_from(["0X", "7", "0X.avi", "..", "a" * 300, ""])
cells = st.one_of(st.sampled_from(["1e300", "-3", "1e4", "nan", "7", "46.0"]), st.text(max_size=8))
listings = st.tuples(names, *[cells] * 7, st.sampled_from(["TRAIN", "test", "other"]))
chords = st.tuples(
    names, *[st.one_of(cells, st.integers(-9, 200).map(str))] * 4, st.sampled_from(["0", "7", "1e9", "x"])
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(listings, max_size=6), st.lists(chords, max_size=60))
def test_no_content_of_the_tables_makes_the_reader_crash(tmp_path, listed, traced):
    (tmp_path / "Videos").mkdir(exist_ok=True)
    for name in ("0X", "7"):
        write_avi(tmp_path / "Videos" / f"{name}.avi", np.zeros((3, 32, 32), np.uint8))
    for name, rows in (
        ("FileList.csv", [FILE_LIST_COLUMNS, *listed]),
        ("VolumeTracings.csv", [TRACINGS_COLUMNS, *traced]),
    ):
        with (tmp_path / name).open("w", newline="", errors="replace") as file:
            csv.writer(file).writerows(rows)
    with contextlib.suppress(DataError):
        for record in LAYOUT.scan(tmp_path).records:
            LAYOUT.read(tmp_path, record)


def test_a_frame_traced_twice_uses_the_first_tracing(root):
    clean = {record.subject: record.outlines for record in LAYOUT.scan(root).records}

    def again(rows):
        second = [[row[0], *(str(float(v) + 9) for v in row[1:5]), row[5]] for row in rows[1:22]]
        return rows[:22] + second + rows[22:]

    rewrite(root / "VolumeTracings.csv", again)
    for record in LAYOUT.scan(root).records:
        for frame, outline in record.outlines.items():
            np.testing.assert_array_equal(outline, clean[record.subject][frame])


def test_a_truncated_video_is_an_error_that_names_it(root):
    video = sorted((root / "Videos").iterdir())[0]
    data = video.read_bytes()
    video.write_bytes(data[: len(data) // 2])
    record = next(record for record in LAYOUT.scan(root).records if record.subject == video.stem)
    with pytest.raises(DataError, match=rf"{video.name}: (truncated|cannot be decoded)"):
        LAYOUT.read(root, record)


def test_a_missing_dataset_and_a_missing_table_are_one_clear_error(tmp_path):
    with pytest.raises(DataError, match=r"nowhere: no such folder, expected EchoNet-Dynamic"):
        LAYOUT.scan(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"FileList\.csv: No such file"):
        LAYOUT.scan(tmp_path)
