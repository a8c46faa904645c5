"""Masks and slices of volumes of every layout follow the files' geometry."""

import csv
import json
import re
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from trainables.common.errors import DataError
from trainables.data.layouts.acdc import Acdc
from trainables.data.layouts.decathlon import Decathlon
from trainables.data.layouts.manifest import Manifest
from trainables.data.readers.metaimage_writer import write_metaimage
from trainables.data.records import Layout, Pixels
from trainables.data.settings import DataSettings
from trainables.data.store.check import check

SHAPE, AFFINE = (20, 16, 6), np.diag([-1.5, -1.5, 8.0, 1.0])
MASK = np.zeros(SHAPE, np.uint8)
MASK[3:9, 2:6, 2:] = 1
MASK[10:15, 8:13, 3] = 1
IMAGE = (MASK * 200 + 20 + np.arange(6)).astype(np.int16)
LAYOUTS = ("manifest", "decathlon", "acdc")


def dataset(root: Path, name: str, image: nib.Nifti1Image, mask: nib.Nifti1Image, **settings) -> Layout:
    """Write a dataset of one volume and return its layout."""
    files = {"manifest": ("i.nii.gz", "m.nii.gz"), "decathlon": ("imagesTr/i.nii.gz", "labelsTr/i.nii.gz")}
    acdc = ("training/patient001/patient001_ED.nii.gz", "training/patient001/patient001_ED_gt.nii.gz")
    for file, volume in zip(files.get(name, acdc), (image, mask), strict=True):
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        nib.save(volume, root / file)
    if name == "decathlon":
        entry = {"image": files[name][0], "label": files[name][1]}
        document = {"labels": {"0": "background", "1": "lv"}, "training": [entry], "test": []}
        (root / "dataset.json").write_text(json.dumps(document))
    elif name == "manifest":
        table(root, ["p1", *files[name]])
    return {"manifest": Manifest, "decathlon": Decathlon, "acdc": Acdc}[name](**settings)


def table(root: Path, *rows: list[object], columns=("subject", "image", "mask", "frame")) -> None:
    with (root / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
    (root / "classes.csv").write_text("value,name\n1,lv\n")


def read(layout: Layout, root: Path) -> Pixels:
    return layout.read(root, layout.scan(root).records[0])


def overlap(pixels: Pixels) -> float:
    """Return the intersection over union of the bright pixels and the masks, each in its own slice."""
    masks = np.stack([pixels.masks[frame] for frame in range(len(pixels.images))]) > 0
    bright = pixels.images[:, 0] > 128
    return float((masks & bright).sum() / (masks | bright).sum())


def stored(array: np.ndarray, affine: np.ndarray = AFFINE, order=None) -> nib.Nifti1Image:
    image = nib.Nifti1Image(array, affine)
    return image if order is None else image.as_reoriented(np.array(order))


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize(
    "order",
    [
        [[0, -1], [1, -1], [2, 1]],  # RAS
        [[0, 1], [1, 1], [2, -1]],  # slices reversed
        [[1, 1], [2, -1], [0, 1]],  # slices first
    ],
)
@pytest.mark.parametrize("role", ["image", "mask", "both"])
def test_a_mask_stored_in_another_orientation_lies_upon_its_structure(tmp_path, name, order, role):
    image = stored(IMAGE, order=order if role != "mask" else None)
    mask = stored(MASK, order=order if role != "image" else None)
    layout = dataset(tmp_path, name, image, mask)
    pixels = read(layout, tmp_path)
    assert pixels.images.shape == (6, 1, 16, 20)
    assert overlap(pixels) == 1.0
    assert pixels.issues == ()


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("affine", [np.eye(4), np.diag([-1.0, -1, 1, 1]), None])
def test_a_mask_without_a_place_is_in_the_voxel_order_of_its_image(tmp_path, name, affine):
    layout = dataset(tmp_path, name, stored(IMAGE), nib.Nifti1Image(MASK, affine))
    pixels = read(layout, tmp_path)
    assert overlap(pixels) == 1.0
    assert [issue.kind for issue in pixels.issues] == ["mask geometry assumed"]


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_mask_of_another_place_is_refused_and_says_both_places(tmp_path, name):
    away = AFFINE.copy()
    away[0, 3] = 30
    layout = dataset(tmp_path, name, stored(IMAGE), stored(MASK, away))
    report = check(DataSettings(layout=layout), tmp_path)
    (issue,) = [issue for issue in report.issues if issue.severity == "loss" and "mask" in issue.kind]
    assert issue.kind == "mask geometry differs from the image"
    assert "from LPS (-30, 0, 0), expected 20 x 16 x 6 voxels" in issue.message
    assert "6 losses in 6 masks" in report.refusal


@pytest.mark.parametrize("name", LAYOUTS)
def test_slices_are_cut_along_the_thick_axis_unless_the_layout_says_another(tmp_path, name):
    first = [[1, 1], [2, 1], [0, 1]]
    layout = dataset(tmp_path, name, stored(IMAGE, order=first), stored(MASK, order=first))
    (record,) = layout.scan(tmp_path).records
    assert (record.slice_axis, record.frames, record.spacing) == (0, 6, (1.5, 1.5))
    np.testing.assert_array_equal(read(layout, tmp_path).images[:, 0] > 128, MASK.T > 0)
    report = check(DataSettings(layout=layout), tmp_path)
    assert dict(report.slice_axes) == {"first": 1}
    assert "slices are taken along the first axis in 1 volumes" in " ".join(map(str, report.issues))
    told = type(layout)(slice_axis=2)
    (record,) = told.scan(tmp_path).records
    assert (record.slice_axis, record.frames, record.spacing) == (2, 16, (1.5, 8.0))
    assert overlap(read(told, tmp_path)) == 1.0
    with pytest.raises(ValueError, match="slice_axis 4"):
        type(layout)(slice_axis=4)


def test_usual_slices_are_no_issue_but_are_stated(tmp_path):
    layout = dataset(tmp_path, "decathlon", stored(IMAGE), stored(MASK))
    report = check(DataSettings(layout=layout), tmp_path)
    assert dict(report.slice_axes) == {"third": 1}
    assert not any("slices" in issue.kind for issue in report.issues)


def test_a_metaimage_mask_follows_the_direction_cosines(tmp_path):
    write_metaimage(tmp_path / "i.mhd", IMAGE, (1.5, 1.5, 8.0))
    write_metaimage(tmp_path / "m.mhd", MASK[::-1], (1.5, 1.5, 8.0))
    header = (tmp_path / "m.mhd").read_text()
    turned = header.replace("TransformMatrix = 1 ", "TransformMatrix = -1 ").replace("Offset = 0", "Offset = 28.5")
    (tmp_path / "m.mhd").write_text(turned)
    table(tmp_path, ["p1", "i.mhd", "m.mhd"])
    assert overlap(read(Manifest(), tmp_path)) == 1.0
    (tmp_path / "m.mhd").write_text(header.replace("TransformMatrix = 1 ", "TransformMatrix = -1 "))
    pixels = read(Manifest(), tmp_path)
    assert [issue.kind for issue in pixels.issues] == ["mask geometry differs from the image"]
    nib.save(stored(MASK, np.diag([-1.5, -1.5, 8, 1]), [[0, -1], [1, 1], [2, -1]]), tmp_path / "m.nii")
    table(tmp_path, ["p1", "i.mhd", "m.nii"])
    assert overlap(read(Manifest(), tmp_path)) == 1.0


def test_a_mask_of_one_frame_lies_in_the_frame_that_the_manifest_names(tmp_path):
    nib.save(stored(IMAGE), tmp_path / "i.nii")
    nib.save(stored(MASK, order=[[0, -1], [1, -1], [2, -1]]), tmp_path / "whole.nii")
    nib.save(stored(MASK[..., 3:4], order=[[0, -1], [1, 1], [2, 1]]), tmp_path / "one.nii")
    nib.save(stored(MASK[..., 3]), tmp_path / "flat.nii")
    for mask in ("whole.nii", "one.nii", "flat.nii"):
        table(tmp_path, ["p1", "i.nii", mask, 3])
        pixels = read(Manifest(), tmp_path)
        assert list(pixels.masks) == [3]
        np.testing.assert_array_equal(pixels.masks[3] > 0, pixels.images[3, 0] > 128)


def test_frames_over_time_are_always_along_the_third_axis(tmp_path):
    image, mask = stored(IMAGE, np.diag([-1.5, -1.5, 0.04, 1])), stored(MASK, order=[[0, -1], [1, -1], [2, 1]])
    layout = dataset(tmp_path, "manifest", image, mask, time=True)
    (record,) = layout.scan(tmp_path).records
    assert (record.frames, record.stack, record.slice_axis) == (6, False, None)
    assert overlap(read(layout, tmp_path)) == 1.0


@pytest.mark.parametrize("name", LAYOUTS)
def test_interpolated_labels_are_refused_by_the_masks_name(tmp_path, name):
    layout = dataset(tmp_path, name, stored(IMAGE), stored(MASK.astype(np.float32) / 2))
    problem = r"labels between whole numbers \(found 0\.5, expected whole"
    if name == "manifest":  # the image stays
        (record,) = layout.scan(tmp_path).records
        (issue,) = layout.read(tmp_path, record).issues
        assert (issue.severity, issue.skipped) == ("damage", "mask")
        assert re.match(problem, issue.message)
        return
    with pytest.raises(DataError, match=rf"\.nii\.gz: {problem}"):
        read(layout, tmp_path)


def test_grey_values_from_0_to_1_keep_their_detail_in_every_format(tmp_path):
    values = np.linspace(0, 1, 20 * 16 * 6).reshape(SHAPE)
    write_metaimage(tmp_path / "a.mha", values.astype(np.float32), (1.5, 1.5, 8.0))
    write_metaimage(tmp_path / "b.mha", values, (1.5, 1.5, 8.0))
    write_metaimage(tmp_path / "c.mha", (values * 10_000).astype(np.uint16), (1.5, 1.5, 8.0))
    for name in ("a.mha", "b.mha", "c.mha"):
        table(tmp_path, ["p1", name, ""])
        pixels = read(Manifest(), tmp_path)
        assert np.unique(pixels.images).size == 256
