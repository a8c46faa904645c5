import contextlib
import gzip
import json
import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trainables.common.errors import DataError
from trainables.data.layouts.decathlon import Decathlon, read_task
from trainables.data.readers.grey import percentile_window
from trainables.data.settings import DataSettings
from trainables.data.store.check import check
from trainables.phantom import PHANTOMS, PhantomSettings

REALDATA = Path(os.environ.get("STUDY_REALDATA", Path(__file__).resolve().parents[5] / "shared" / "realdata"))
REAL = REALDATA / "msd_prostate" / "Task05_Prostate"
PHANTOM = PhantomSettings(subjects=6, size=40, slices=5, seed=2)


@pytest.fixture
def root(tmp_path) -> Path:
    PHANTOMS["decathlon_prostate"].write(tmp_path, PHANTOM, None)
    return tmp_path


def change(root: Path, **parts) -> None:
    path = root / "dataset.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | parts))


def issues(root: Path, layout: Decathlon | None = None) -> dict[str, tuple[str, str, str]]:
    report = check(DataSettings(layout=layout or Decathlon()), root)
    return {issue.kind: (issue.file, issue.place, issue.skipped) for issue in report.issues}


def test_volumes_channels_and_labels_as_the_json_says(root, voxels):
    document = json.loads((root / "dataset.json").read_text())
    scan = Decathlon().scan(root)
    assert (scan.classes, scan.channels) == (("background", "PZ", "TZ"), ("T2", "ADC"))
    assert sum(bool(record.labelled) for record in scan.records) == len(document["training"])
    assert len(scan.records) == len(document["training"]) + len(document["test"])
    for record, entry in zip(scan.records, document["training"], strict=False):
        image = nib.load(root / entry["image"])
        values, labels = image.get_fdata(), np.asarray(nib.load(root / entry["label"]).dataobj)
        pixels = Decathlon().read(root, record)
        there = voxels(root / entry["image"], pixels.planes, pixels.images.shape[2:])
        for channel in (0, 1):
            np.testing.assert_array_equal(pixels.images[:, channel], percentile_window(values[..., channel][there]))
        masks = np.stack([pixels.masks[slice_] for slice_ in range(len(pixels.images))])
        np.testing.assert_array_equal(masks, labels[there])
        assert (pixels.planes[:, 1, 1] > 0).all()  # the back is below
        assert (pixels.planes[:, 2, 0] > 0).all()  # the left is on the right
        assert record.spacing == pytest.approx(tuple(image.header.get_zooms()[1::-1]))
        assert record.stack


def test_channels_are_selected_in_the_given_order(root):
    record = Decathlon().scan(root).records[0]
    both, one = Decathlon().read(root, record), Decathlon(channels=("ADC",)).read(root, record)
    np.testing.assert_array_equal(one.images[:, 0], both.images[:, 1])
    turned = Decathlon(channels=("ADC", "T2")).read(root, record)
    np.testing.assert_array_equal(turned.images, both.images[:, ::-1])
    with pytest.raises(DataError, match=r"no modality 'T3'.* 'T2'"):
        Decathlon(channels=("T3",)).scan(root)


def test_planted_faults_are_named_with_their_place(root):
    document = json.loads((root / "dataset.json").read_text())
    first, second = document["training"][:2]
    (root / first["label"]).unlink()
    (root / second["image"]).unlink()
    label = root / document["training"][2]["label"]
    image = nib.load(label)
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj) + 5, image.affine), label)
    third = nib.load(root / document["test"][0])
    flat = nib.Nifti1Image(np.asarray(third.dataobj)[..., 0], third.affine)
    nib.save(flat, third.get_filename())
    change(
        root,
        training=[*document["training"], document["training"][2], {"image": "../x.nii.gz", "label": "y.nii.gz"}, 7],
    )
    found = issues(root)
    assert found["missing mask"][1:] == ("training[0]", "mask")
    assert found["missing image"][1:] == ("training[1]", "sequence")
    assert found["unknown label"][0] == document["training"][2]["label"].removeprefix("./")
    assert found["listed twice"][1:] == ("training[4]", "sequence")
    assert found["path outside the dataset"] == ("dataset.json", "training[5]", "sequence")
    assert found["unreadable entry"] == ("dataset.json", "training[6]", "sequence")
    assert found["channels differ"][2] == "sequence"


@pytest.mark.parametrize(
    ("kind", "role", "skipped", "write"),
    [
        ("mask size differs from the image", "label", "mask", lambda values: values[1:]),
        ("background only", "label", "", lambda values: values * 0),
        ("unreadable header", "image", "sequence", None),
        ("spacing missing", "image", "", lambda values: values),
    ],
)
def test_planted_faults_of_files_are_named(root, kind, role, skipped, write):
    entry = json.loads((root / "dataset.json").read_text())["training"][0]
    path = root / entry[role]
    if write is None:
        path.write_bytes(b"no")
    else:
        bare = nib.Nifti1Image(write(np.asarray(nib.load(path).dataobj)), None)
        bare.header["pixdim"][1:4] = 0
        nib.save(bare, path)
    assert issues(root)[kind] == (entry[role].removeprefix("./"), "", skipped)


@pytest.mark.parametrize("role", ["image", "label"])
def test_a_truncated_file_costs_its_volume(root, role):
    path = root / json.loads((root / "dataset.json").read_text())["training"][0][role]
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[:-500]))
    assert issues(root)["unreadable sequence"][::2] == (path.relative_to(root).as_posix(), "sequence")


@pytest.mark.parametrize("path", ["/etc/passwd", "..\\x.nii", "C:\\x.nii", "a/../../x.nii", "x\0.nii"])
def test_no_path_leaves_the_folder(root, path):
    change(root, training=[{"image": path, "label": path}])
    scan = Decathlon().scan(root)
    assert {issue.kind for issue in scan.issues} <= {"path outside the dataset", "missing image"}
    assert all(not record.labelled for record in scan.records)


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        ({"labels": {}}, "labels: found"),
        ({"labels": {"0": "background"}}, "expected a name of its own"),
        ({"labels": {"0": "b", "1": "x", "2": "x"}}, "expected a name of its own"),
        ({"labels": {"one": "x"}}, "'one: x'"),
        ({"labels": {"1": "x", "01": "y"}}, "'01: y', expected a number of its own"),
        ({"labels": {"1": "\ud800"}}, "not JSON"),
        ({"modality": []}, "modality: found"),
        ({"modality": {"0": "MR", "1": "MR"}}, "modality: MR, MR, expected a name of its own"),
        ({"training": {}}, "training: a dict"),
    ],
)
def test_a_json_without_its_parts_is_one_clear_error(root, parts, text):
    change(root, **parts)
    with pytest.raises(DataError, match=text):
        Decathlon().scan(root)


FUZZ = settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 300) | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["0", "1", "image", "label", "x"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@FUZZ
@given(labels=JSON, modality=JSON, training=JSON, test=JSON, raw=st.one_of(st.none(), st.binary(max_size=30)))
def test_no_json_makes_the_reader_crash(tmp_path, labels, modality, training, test, raw):
    document = {"labels": labels, "modality": modality, "training": training, "test": test}
    (tmp_path / "dataset.json").write_bytes(raw if raw is not None else json.dumps(document).encode())
    with contextlib.suppress(DataError):
        Decathlon().scan(tmp_path)


@pytest.mark.skipif(not REAL.is_dir(), reason=f"the real prostate sample is not at {REAL}")
def test_the_real_sample(tmp_path):
    task = read_task(REAL)
    assert task.channels == ("T2", "ADC")
    assert dict(task.classes) == {1: "PZ", 2: "TZ"}
    assert (sum("mask" in files for _, files in task.entries), len(task.entries)) == (32, 48)
    for name, shape, step in (("prostate_37", (15, 256, 256), 0.75), ("prostate_41", (18, 256, 256), 0.75)):
        label = nib.load(REAL / "labelsTr" / f"{name}.nii")
        root = tmp_path / name
        for folder in ("imagesTr", "labelsTr"):
            (root / folder).mkdir(parents=True)
        nib.save(label, root / "labelsTr" / f"{name}.nii")
        grid = np.random.default_rng(0).integers(0, 400, (*label.shape, 2)).astype(np.int16)
        nib.save(nib.Nifti1Image(grid, label.affine), root / "imagesTr" / f"{name}.nii")  # its images are not shared
        document = json.loads((REAL / "dataset.json").read_text())
        files = {"image": f"/imagesTr/{name}.nii", "label": f"/labelsTr/{name}.nii"}
        (root / "dataset.json").write_text(json.dumps(document | {"training": [files], "test": []}))
        (record,) = Decathlon().scan(root).records
        pixels = Decathlon().read(root, record)
        masks = np.stack([pixels.masks[slice_] for slice_ in range(shape[0])])
        assert (masks.shape, record.spacing) == (shape, pytest.approx((step, step)))
        counts = [int((np.asarray(label.dataobj) == number).sum()) for number in (1, 2)]
        assert [int((masks == number).sum()) for number in (1, 2)] == counts
        peripheral, transition = (np.argwhere(masks == number).mean(axis=0) for number in (1, 2))
        assert peripheral[1] > transition[1]  # the peripheral zone lies behind: lower in the picture
        place = pixels.planes[3, 0] + 10 * pixels.planes[3, 1] + 20 * pixels.planes[3, 2]
        voxel = np.linalg.inv(label.affine) @ [-place[0], -place[1], place[2], 1]
        np.testing.assert_allclose(voxel[:3], [255 - 20, 255 - 10, 3], atol=1e-3)
