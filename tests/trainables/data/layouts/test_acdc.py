import gzip
import os
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trainables.common.errors import DataError
from trainables.data.layouts.acdc import CLASSES, Acdc
from trainables.data.readers.grey import percentile_window
from trainables.data.settings import DataSettings
from trainables.data.store.check import check

REAL = Path(os.environ.get("STUDY_REALDATA", Path(__file__).resolve().parents[5] / "shared" / "realdata")) / "acdc"
AFFINE = np.diag([-1.5, -1.25, 9, 1])


def write(folder: Path, seed: int, *, diastole=1, systole=4, timepoints=6) -> np.ndarray:
    """Write a patient as published, its pixels and labels drawn at random; return the labels at end-diastole."""
    folder.mkdir(parents=True)
    rng, name = np.random.default_rng(seed), folder.name
    cine = rng.integers(0, 900, (20, 16, 3, timepoints)).astype(np.int16)
    nib.save(nib.Nifti1Image(cine, AFFINE), folder / f"{name}_4d.nii.gz")
    labels = {}
    for frame in (diastole, systole):
        labels[frame] = rng.integers(0, 4, cine.shape[:3]).astype(np.uint8)
        nib.save(nib.Nifti1Image(cine[..., frame - 1], AFFINE), folder / f"{name}_frame{frame:02d}.nii.gz")
        nib.save(nib.Nifti1Image(labels[frame], AFFINE), folder / f"{name}_frame{frame:02d}_gt.nii.gz")
    lines = {"ED": diastole, "ES": systole, "Group": "DCM", "Height": 184.0, "NbFrame": timepoints, "Weight": 95.0}
    (folder / "Info.cfg").write_text("".join(f"{key}: {value}\n" for key, value in lines.items()))
    return labels[diastole]


@pytest.fixture
def root(tmp_path) -> Path:
    for part, name, seed in (
        ("training", "patient001", 1),
        ("training", "patient002", 2),
        ("testing", "patient101", 3),
    ):
        write(tmp_path / part / name, seed)
    return tmp_path


def found(root: Path) -> dict[str, tuple[str, str]]:
    """Return file and skipped data of every issue by its kind."""
    return {issue.kind: (issue.file, issue.skipped) for issue in check(DataSettings(layout=Acdc()), root).issues}


def test_volumes_of_both_phases_and_of_some_moments_between(root):
    scan = Acdc(frame_step=2).scan(root)
    assert scan.issues == ()
    mine = [record for record in scan.records if record.subject == "patient001"]
    assert [record.sequence.removeprefix("patient001_SA_") for record in mine] == ["ED", "ES", "cine_1", "cine_5"]
    assert {record.split for record in mine} == {"train"}
    assert {record.split for record in scan.records if record.subject == "patient101"} == {"test"}
    assert all(record.stack and record.frames == 3 and record.spacing == (1.25, 1.5) for record in scan.records)
    assert mine[0].labelled == {0: "ED", 1: "ED", 2: "ED"}
    assert mine[2].labelled == {}
    assert mine[0].clinical == {"height": 184.0, "weight": 95.0}
    cine = nib.load(root / "training/patient001/patient001_4d.nii.gz").get_fdata()
    for record, timepoint in zip(mine, (0, 3, 1, 5), strict=True):
        pixels = Acdc().read(root, record)
        np.testing.assert_array_equal(pixels.images[:, 0], percentile_window(cine[..., timepoint].transpose(2, 1, 0)))
    assert len(Acdc(frame_step=0).scan(root).records) == 6


def test_labels_go_by_their_names(root):
    labels = nib.load(root / "training/patient001/patient001_frame01_gt.nii.gz").get_fdata().transpose(2, 1, 0)
    pixels = Acdc().read(root, Acdc().scan(root).records[0])
    masks = np.stack([pixels.masks[slice_] for slice_ in range(3)])
    for number, name in ((1, "rv"), (2, "myocardium"), (3, "lv")):  # as Bernard et al. number them
        np.testing.assert_array_equal(masks == CLASSES.index(name), labels == number)


def test_planted_faults_are_named(root):
    one, two, three = root / "training/patient001", root / "training/patient002", root / "testing/patient101"
    (one / "patient001_frame04_gt.nii.gz").unlink()
    torn = two / "patient002_frame01.nii.gz"
    torn.write_bytes(gzip.compress(gzip.decompress(torn.read_bytes())[:600]))
    nib.save(nib.Nifti1Image(np.full((20, 16, 3), 7, np.uint8), AFFINE), three / "patient101_frame01_gt.nii.gz")
    nib.save(nib.Nifti1Image(np.zeros((20, 16, 3), np.uint8), AFFINE), three / "patient101_frame04_gt.nii.gz")
    issues = found(root)
    assert issues["missing mask"] == ("training/patient001/patient001_frame04.nii.gz", "mask")
    assert issues["unknown label"] == ("testing/patient101/patient101_frame01_gt.nii.gz", "mask")
    assert issues["empty mask"] == ("testing/patient101/patient101_frame04_gt.nii.gz", "mask")
    assert issues["unreadable sequence"] == ("training/patient002/patient002_frame01.nii.gz", "sequence")
    torn.write_bytes(b"no")
    assert found(root)["unreadable header"] == ("training/patient002/patient002_frame01.nii.gz", "sequence")


def test_masks_of_another_size_and_missing_spacing(root):
    folder = root / "training/patient001"
    nib.save(nib.Nifti1Image(np.ones((20, 15, 3), np.uint8), AFFINE), folder / "patient001_frame01_gt.nii.gz")
    bare = nib.Nifti1Image(np.ones((20, 16, 3), np.int16), None)
    bare.header["pixdim"][1:4] = 0
    nib.save(bare, folder / "patient001_frame04.nii.gz")
    issues = found(root)
    assert issues["mask size differs from the image"] == ("training/patient001/patient001_frame01_gt.nii.gz", "mask")
    assert issues["spacing missing"] == ("training/patient001/patient001_frame04.nii.gz", "")


def test_a_patient_without_images_and_a_folder_without_patients(root, tmp_path):
    shutil.rmtree(root / "training/patient002")
    (root / "training/patient002").mkdir()
    assert found(root)["no images"] == ("training/patient002", "sequence")
    with pytest.raises(DataError, match="no subjects \\(expected ACDC"):
        Acdc().scan(tmp_path / "training" / "patient002")


VALUE = st.sampled_from(["0", "1", "4", "99", "-1", "2.5", "1e300", "nan", "../2"]) | st.text(max_size=5)
LINES = st.lists(st.tuples(st.sampled_from(["ED", "ES", "Height", "NbFrame"]), VALUE), max_size=5)


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=60) | LINES)
def test_no_cfg_makes_the_reader_crash(root, content):
    lines = content if isinstance(content, bytes) else "".join(f"{key}: {value}\n" for key, value in content).encode()
    (root / "training/patient001/Info.cfg").write_bytes(lines)
    records = Acdc().scan(root).records
    assert {record.subject for record in records} == {"patient001", "patient002", "patient101"}


@pytest.mark.skipif(not (REAL / "patient139").is_dir(), reason=f"the real ACDC sample is not at {REAL}")
def test_the_real_sample():
    diastole, systole = Acdc().scan(REAL).records
    assert (diastole.subject, diastole.frames, diastole.stack) == ("patient139", 16, True)
    assert diastole.spacing == pytest.approx((1.68269, 1.68269))
    volumes = {}
    for record in (diastole, systole):
        pixels = Acdc().read(REAL, record)
        assert pixels.images.shape == (16, 1, 208, 174)
        assert pixels.planes is None  # its affine has steps of 1 mm
        masks = np.stack([pixels.masks[slice_] for slice_ in range(16)])
        volumes[record.sequence[-2:]] = {name: int((masks == label).sum()) for label, name in enumerate(CLASSES)}
        blood = pixels.images[:, 0][masks == CLASSES.index("lv")].mean()
        assert blood > 1.5 * pixels.images[:, 0][masks == CLASSES.index("myocardium")].mean()
        places = {name: np.argwhere(masks == label).mean(axis=0) for label, name in enumerate(CLASSES)}
        assert np.linalg.norm(places["lv"] - places["myocardium"]) < np.linalg.norm(places["lv"] - places["rv"])
    assert volumes["ED"]["lv"] > 1.3 * volumes["ES"]["lv"]
    assert 10 < volumes["ED"]["lv"] * 1.68269**2 * 5 / 1000 < 400  # mL
