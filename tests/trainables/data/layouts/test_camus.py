import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trainables.common.errors import DataError
from trainables.data.layouts.camus import Camus
from trainables.phantom import PhantomSettings
from trainables.phantom.imaging.cine import draw_cine
from trainables.phantom.writers.camus import truth

LAYOUT = Camus()


@pytest.fixture
def root(camus_root, tmp_path) -> Path:
    copy = tmp_path / "camus"
    shutil.copytree(camus_root, copy)
    return copy


def patient(root: Path, file: str) -> Path:
    return root / "database_nifti" / "patient0001" / file


def issues(root: Path) -> dict[str, tuple[str, str, str]]:
    scan = LAYOUT.scan(root)
    found = list(scan.issues)
    for record in scan.records:
        found.extend(LAYOUT.read(root, record).issues)
    return {issue.kind: (issue.file, issue.place, issue.skipped) for issue in found}


def test_a_clean_dataset_has_no_faults(camus_root):
    assert issues(camus_root) == {}


def test_sequences_come_back_as_the_phantom_drew_them(camus_root):
    settings = PhantomSettings(subjects=4, frames=12, seed=5, fractions=(0.5, 0.25, 0.25))
    records = LAYOUT.scan(camus_root).records
    assert [record.sequence for record in records] == [
        f"patient{n:04d}_{view}" for n in range(1, 5) for view in ("2CH", "4CH")
    ]
    for record in records:
        cine, pixels = draw_cine(settings, record.subject, record.view), LAYOUT.read(camus_root, record)
        step = 1 if cine.end_systole > cine.end_diastole else -1
        expected = cine.images[cine.end_diastole : (cine.end_systole + step) % 13 or None : step][:, :101]
        if cine.end_systole + step < 0:
            expected = cine.images[cine.end_diastole :: -1][:, :101]
        np.testing.assert_array_equal(pixels.images[:, 0], expected)
        assert record.labelled == {0: "ED", len(expected) - 1: "ES"}
        for frame, source in ((0, cine.end_diastole), (len(expected) - 1, cine.end_systole)):
            np.testing.assert_array_equal(pixels.masks[frame], truth(cine, source)[:101])
        assert record.spacing == pytest.approx([cine.millimetres / 112] * 2)
        assert record.clinical["ef"] == round(cine.ejection_fraction)


def test_a_cfg_with_end_diastole_last_turns_the_phases_round(root):
    cfg = patient(root, "Info_4CH.cfg")
    lines = [line for line in cfg.read_text().splitlines() if not line.startswith(("ED", "ES"))]
    cfg.write_text("\n".join(["ED: 9", "ES: 1", *lines]))
    record = next(record for record in LAYOUT.scan(root).records if record.sequence == "patient0001_4CH")
    assert record.frames is not None
    assert record.labelled == {0: "ES", record.frames - 1: "ED"}


def test_without_half_sequences_the_two_stills_are_the_sequence(root):
    for path in root.rglob("*half_sequence*"):
        path.unlink()
    for record in LAYOUT.scan(root).records:
        pixels = LAYOUT.read(root, record)
        assert record.labelled == {0: "ED", 1: "ES"}
        assert pixels.images.shape == (2, 1, 101, 112)
        assert sorted(pixels.masks) == [0, 1]


def test_the_official_split_is_read_and_its_absence_is_none(root):
    lists = {
        stem: (root / "database_split" / f"subgroup_{stem}.txt").read_text().split() for stem in ("training", "testing")
    }
    splits = {record.subject: record.split for record in LAYOUT.scan(root).records}
    assert {name for name, split in splits.items() if split == "train"} == set(lists["training"])
    assert {name for name, split in splits.items() if split == "test"} == set(lists["testing"])
    shutil.rmtree(root / "database_split")
    assert {record.split for record in LAYOUT.scan(root).records} == {None}


def test_grey_values_outside_a_byte_are_stretched(root):
    for path in patient(root, "").glob("*_4CH_half_sequence.nii.gz"):
        values = np.asarray(nib.load(path).dataobj)
        nib.save(nib.Nifti1Image(values * 16 - 100, np.eye(4)), path)
        record = next(record for record in LAYOUT.scan(root).records if record.sequence == "patient0001_4CH")
        scaled = LAYOUT.read(root, record).images[:, 0].transpose(2, 1, 0)
        low, high = np.percentile(values, (0.5, 99.5))
        np.testing.assert_allclose(scaled, np.clip((values - low) / (high - low), 0, 1) * 255, atol=0.51)


def test_grey_values_from_0_to_1_keep_their_levels(root):
    for path in patient(root, "").glob("*_4CH_half_sequence.nii.gz"):
        values = np.asarray(nib.load(path).dataobj)
        nib.save(nib.Nifti1Image((values / 255).astype(np.float32), np.eye(4)), path)
    record = next(record for record in LAYOUT.scan(root).records if record.sequence == "patient0001_4CH")
    found = LAYOUT.read(root, record).images[:, 0].transpose(2, 1, 0)
    low, high = np.percentile(values, (0.5, 99.5))
    np.testing.assert_allclose(found, np.clip((values - low) / (high - low), 0, 1) * 255, atol=0.51)
    nib.save(nib.Nifti1Image(values.astype(np.float32), np.eye(4)), path)
    np.testing.assert_array_equal(LAYOUT.read(root, record).images[:, 0].transpose(2, 1, 0), values)


def overwrite(file: str, change):
    def plant(root: Path) -> None:
        path = patient(root, file)
        values = np.asarray(nib.load(path).dataobj)
        nib.save(nib.Nifti1Image(change(values), np.eye(4)), path)

    return plant


def append(file: str, line: str):
    def plant(root: Path) -> None:
        with (root / "database_split" / file).open("a") as lines:
            lines.write(line)

    return plant


def in_two_splits(root: Path) -> None:
    name = (root / "database_split" / "subgroup_testing.txt").read_text().split()[0]
    append("subgroup_training.txt", f"{name}\n")(root)


def without_stills(root: Path) -> None:
    for path in patient(root, "").glob("*_2CH_*"):
        if not path.name.endswith("_2CH_ED.nii.gz"):
            path.unlink()


FOLDER = "database_nifti/patient0001"
PLANTED = {
    "unknown label": (
        overwrite("patient0001_4CH_ED_gt.nii.gz", lambda a: a + 2),
        (f"{FOLDER}/patient0001_4CH_ED_gt.nii.gz", "", "mask"),
    ),
    "empty mask": (
        overwrite("patient0001_4CH_ED_gt.nii.gz", lambda a: a * 0),
        (f"{FOLDER}/patient0001_4CH_ED_gt.nii.gz", "", "mask"),
    ),
    "mask size differs from the image": (
        overwrite("patient0001_2CH_ES_gt.nii.gz", lambda a: a[:-3]),
        (f"{FOLDER}/patient0001_2CH_ES_gt.nii.gz", "", "mask"),
    ),
    "missing mask": (lambda root: patient(root, "patient0001_2CH_ES_gt.nii.gz").unlink(), (FOLDER, "2CH ES", "mask")),
    "unreadable header": (
        lambda root: patient(root, "patient0001_4CH_half_sequence.nii.gz").write_bytes(b"nothing"),
        (f"{FOLDER}/patient0001_4CH_half_sequence.nii.gz", "", "sequence"),
    ),
    "incomplete view": (without_stills, (FOLDER, "2CH", "sequence")),
    "frame count differs from the cfg": (
        lambda root: patient(root, "Info_4CH.cfg").write_text("ED: 1\nES: 99\nNbFrame: 99\n"),
        (FOLDER, "Info_4CH.cfg", ""),
    ),
    "subject in two splits": (in_two_splits, ("database_split/subgroup_training.txt", "row 3", "row")),
    "unreadable split row": (
        append("subgroup_training.txt", "../x\n"),
        ("database_split/subgroup_training.txt", "row 3", "row"),
    ),
    "listed patients absent": (
        append("subgroup_testing.txt", "patient0499\n"),
        ("database_split/subgroup_testing.txt", "", ""),
    ),
}


@pytest.mark.parametrize("kind", PLANTED)
def test_each_planted_fault_is_reported_with_its_file_and_place(kind, root):
    plant, expected = PLANTED[kind]
    plant(root)
    assert issues(root)[kind] == expected


VALUE = st.sampled_from(["0", "1", "4", "99", "-1", "2.5", "1e300", "nan", "../2"]) | st.text(max_size=5)
LINES = st.lists(st.tuples(st.sampled_from(["ED", "ES", "NbFrame", "EF", "ImageQuality"]), VALUE), max_size=5)


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=60) | LINES)
def test_no_cfg_makes_the_reader_crash(root, content):
    lines = content if isinstance(content, bytes) else "".join(f"{key}: {value}\n" for key, value in content).encode()
    patient(root, "Info_4CH.cfg").write_bytes(lines)
    scan = LAYOUT.scan(root)
    assert len(scan.records) == 8
    LAYOUT.read(
        root, next(record for record in scan.records if (record.subject, record.view) == ("patient0001", "4CH"))
    )


def test_a_subject_in_two_splits_is_never_trained_on(root):
    in_two_splits(root)
    name = (root / "database_split" / "subgroup_testing.txt").read_text().split()[0]
    assert {record.split for record in LAYOUT.scan(root).records if record.subject == name} == {"test"}


def test_a_torn_image_is_an_error_that_names_it(root):
    path = patient(root, "patient0001_4CH_ED_gt.nii.gz")
    path.write_bytes(path.read_bytes()[:-60])
    record = next(record for record in LAYOUT.scan(root).records if record.sequence == "patient0001_4CH")
    with pytest.raises(DataError, match=r"patient0001_4CH_ED_gt\.nii\.gz: not a readable NIfTI image"):
        LAYOUT.read(root, record)


def test_another_folder_is_one_clear_error(tmp_path):
    with pytest.raises(DataError, match="no patients, expected CAMUS"):
        LAYOUT.scan(tmp_path)


def test_the_real_sample_reads_with_its_published_sizes_spacing_and_labels(real_camus):
    scan = LAYOUT.scan(real_camus)
    sizes = {"patient0001": (389, 549), "patient0166": (292, 355), "patient0233": (584, 708)}
    assert {record.subject: record.split for record in scan.records} == {
        "patient0001": "train",
        "patient0166": "train",
        "patient0233": "val",
    }
    assert {issue.kind for issue in scan.issues} == {"listed patients absent"}
    for record in scan.records:
        pixels = LAYOUT.read(real_camus, record)
        assert record.view == "4CH"
        assert pixels.images.shape == (2, 1, *sizes[record.subject])
        assert record.spacing == pytest.approx((0.308, 0.308), rel=1e-5)
        assert pixels.issues == ()
        for mask in pixels.masks.values():
            assert set(np.unique(mask)) == {0, 1, 2, 3}
    assert scan.records[2].clinical == {"ef": 63.0}


def test_the_real_sample_is_upright(real_camus):
    for record in LAYOUT.scan(real_camus).records:
        pixels = LAYOUT.read(real_camus, record)
        areas = {phase: (pixels.masks[frame] == 1).sum() for frame, phase in record.labelled.items()}
        assert areas["ED"] > areas["ES"]
        rows = [np.nonzero(pixels.masks[0] == label)[0].mean() for label in (1, 3)]
        assert rows[0] < rows[1]  # the atrium lies deeper than the ventricle
        lit = pixels.images[0, 0] > 10
        assert lit[: len(lit) // 10].sum() < lit[len(lit) // 2 : len(lit) // 2 + len(lit) // 10].sum() / 2  # tip on top
