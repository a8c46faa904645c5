import contextlib
import csv
import gzip

import nibabel as nib
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trainables.common.errors import DataError
from trainables.data.layouts.mnms import CLASSES, Mnms, Mnms2
from trainables.data.readers.grey import percentile_window
from trainables.data.settings import DataSettings
from trainables.data.store.check import check
from trainables.phantom import PHANTOMS, PhantomSettings
from trainables.phantom.writers.mnms import TABLE

PHANTOM = PhantomSettings(subjects=5, frames=8, size=32, slices=4, seed=3, fractions=(0.6, 0.2, 0.2))


@pytest.fixture
def root(tmp_path):
    PHANTOMS["mnms"].write(tmp_path, PHANTOM, None)
    return tmp_path


@pytest.fixture
def second(tmp_path):
    PHANTOMS["mnms2"].write(tmp_path, PHANTOM, None)
    return tmp_path


def issues(layout, root):
    return {issue.kind: (issue.file, issue.skipped) for issue in check(DataSettings(layout=layout), root).issues}


def test_phases_come_from_the_table_and_labels_by_their_names(root, voxels):
    rows = {row["External code"]: row for row in csv.DictReader((root / TABLE).open())}
    scan = Mnms(frame_step=3).scan(root)
    assert {record.split for record in scan.records} == {"train", "val", "test"}
    for record in scan.records:
        if not record.labelled:
            continue
        timepoint = int(rows[record.subject][record.sequence[-2:]])
        assert record.timepoint == timepoint
        (path,) = root.rglob(f"{record.subject}_sa_gt.nii.gz")
        pixels = Mnms().read(root, record)
        there = voxels(path, pixels.planes, pixels.images.shape[2:])
        labels = np.asarray(nib.load(path).dataobj)[..., timepoint][there]
        image = nib.load(path.with_name(f"{record.subject}_sa.nii.gz"))
        np.testing.assert_array_equal(pixels.images[:, 0], percentile_window(image.get_fdata()[..., timepoint][there]))
        assert record.spacing == pytest.approx(image.header.get_zooms()[1::-1])
        masks = np.stack([pixels.masks[slice_] for slice_ in range(4)])
        for name, number in (("lv", 1), ("myocardium", 2), ("rv", 3)):  # as Campello et al. number them
            np.testing.assert_array_equal(masks == CLASSES.index(name), labels == number)
    cine = {record.timepoint for record in scan.records if not record.labelled}
    assert cine <= {1, 4, 7}


def test_the_views_and_the_split_of_the_second_challenge(second):
    scan = Mnms2(frame_step=0).scan(second)
    assert {record.view for record in scan.records} == {"SA", "LA"}
    for record in scan.records:
        number = int(record.subject)
        assert record.split == ("train" if number <= 160 else "val" if number <= 200 else "test")
        assert record.frames == (4 if record.view == "SA" else 1)
        assert set(np.unique(list(Mnms2().read(second, record).masks.values()))) <= {0, 1, 2, 3}


def test_planted_faults_are_named(root):
    table = root / TABLE
    lines = table.read_text().splitlines()
    code = lines[1].split(",")[0]
    lines[1] = ",".join([code, "phantom", "A", "1", "x", "y"])
    other = lines[2].split(",")[0]
    lines[2] = ",".join([other, "phantom", "A", "1", "0", "99"])
    table.write_text("\n".join(lines))
    third = lines[3].split(",")[0]
    (path,) = root.rglob(f"{third}_sa.nii.gz")
    path.unlink()
    kinds = {}
    for issue in check(DataSettings(layout=Mnms()), root).issues:
        kinds.setdefault(issue.kind, []).append((issue.file, issue.place, issue.skipped))
    assert (TABLE, "row 2", "") in kinds["phases missing"]
    assert any(file.endswith(code) and skipped == "mask" for file, _, skipped in kinds["phases missing"])
    assert kinds["time point past the end"][0][2] == "sequence"
    assert kinds["missing image"][0][0].endswith(third)


@pytest.mark.parametrize(
    ("kind", "stem", "skipped", "change"),
    [
        ("unknown label", "_gt", "mask", lambda values: values + 4),
        ("empty mask", "_gt", "mask", lambda values: values * 0),
        ("mask size differs from the image", "_gt", "mask", lambda values: values[1:]),
        ("spacing missing", "", "", lambda values: values),
        ("unreadable header", "", "sequence", b"no"),
        ("unreadable sequence", "", "sequence", 900),
    ],
)
def test_planted_faults_of_files_are_named(root, kind, stem, skipped, change):
    path = sorted(root.rglob(f"*_sa{stem}.nii.gz"))[0]
    if isinstance(change, bytes):
        path.write_bytes(change)
    elif isinstance(change, int):
        path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[:change]))
    else:
        bare = nib.Nifti1Image(change(np.asarray(nib.load(path).dataobj)), None)
        bare.header["pixdim"][1:4] = 0
        nib.save(bare, path)
    assert issues(Mnms(), root)[kind] == (path.relative_to(root).as_posix(), skipped)


def test_a_missing_view_and_a_missing_mask_of_the_second_challenge(second):
    one, two = sorted((second / "dataset").iterdir())[:2]
    for path in one.glob("*_LA_*"):
        path.unlink()
    (two / f"{two.name}_SA_ES_gt.nii.gz").unlink()
    found = issues(Mnms2(), second)
    assert found["view missing"] == (f"dataset/{one.name}", "")
    assert found["missing mask"] == (f"dataset/{two.name}/{two.name}_SA_ES.nii.gz", "mask")


def test_a_subject_in_two_parts_is_taken_once(root):
    first = sorted((root / "Training/Labeled").iterdir())[0]
    (root / "Testing" / first.name).mkdir(parents=True)
    assert issues(Mnms(), root)["subject in two splits"] == (f"Testing/{first.name}", "sequence")


def test_a_folder_without_the_table_and_one_without_subjects(root, tmp_path_factory):
    (root / TABLE).unlink()
    with pytest.raises(DataError, match="no CSV file with the columns External code"):
        Mnms().scan(root)
    with pytest.raises(DataError, match="no subjects \\(expected M&Ms-2"):
        Mnms2().scan(tmp_path_factory.mktemp("empty"))


CELL = st.sampled_from(["0", "3", "99", "-1", "2.5", "1e300", "nan"]) | st.text(max_size=4)


@settings(
    max_examples=100, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(content=st.binary(max_size=80) | st.lists(st.lists(CELL, max_size=4), max_size=3), data=st.data())
def test_no_table_makes_the_reader_crash(root, content, data):
    codes = sorted(path.name.removesuffix("_sa.nii.gz") for path in root.rglob("*_sa.nii.gz"))
    if isinstance(content, bytes):
        (root / TABLE).write_bytes(content)
    else:
        with (root / TABLE).open("w", newline="", errors="replace") as file:
            rows = [[data.draw(st.sampled_from(codes)), *cells] for cells in content]
            csv.writer(file).writerows([("External code", "ED", "ES"), *rows])
    with contextlib.suppress(DataError):
        Mnms().scan(root)
