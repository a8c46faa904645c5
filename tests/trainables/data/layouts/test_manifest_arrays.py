"""Arrays and WebP pictures as images and masks of a user's own data."""

import csv
from pathlib import Path

import cv2
import nibabel as nib
import numpy as np
import pytest

from trainables.data.layouts.manifest import Manifest
from trainables.data.records import RGB, DatasetListing
from trainables.data.settings import DataSettings
from trainables.data.store.check import check

VOLUME = np.random.default_rng(0).integers(0, 256, (10, 12, 5)).astype(np.uint8)
"""Ten rows and twelve columns of five slices."""
MASKS = (VOLUME > 128).astype(np.int16)


def table(root: Path, *rows: tuple[object, ...]) -> DatasetListing:
    with (root / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("subject", "image", "mask", "frame"), *rows])
    (root / "classes.csv").write_text("value,name\n1,lv\n")
    return Manifest().scan(root)


def test_image_and_masks_in_one_file(tmp_path):
    np.savez(tmp_path / "a.npz", imgs=VOLUME, gts=MASKS)
    (record,) = table(tmp_path, ("p", "a.npz::imgs", "a.npz::gts", "")).records
    assert (record.frames, record.stack, record.slice_axis) == (5, True, 2)
    pixels = Manifest().read(tmp_path, record)
    np.testing.assert_array_equal(pixels.images[:, 0], VOLUME.transpose(2, 0, 1))
    np.testing.assert_array_equal(np.stack([pixels.masks[n] for n in range(5)]), MASKS.transpose(2, 0, 1))
    first = Manifest(slice_axis=0)
    np.testing.assert_array_equal(first.read(tmp_path, first.scan(tmp_path).records[0]).masks[3], MASKS[3])
    cine = Manifest(time=True).scan(tmp_path).records[0]
    assert (cine.frames, cine.stack) == (5, False)


def test_masks_of_single_frames_and_of_pictures(tmp_path):
    np.save(tmp_path / "v.npy", VOLUME)
    np.save(tmp_path / "m.npy", MASKS[..., 3])
    cv2.imwrite(str(tmp_path / "p.webp"), VOLUME[..., 0])
    cv2.imwrite(str(tmp_path / "m.webp"), MASKS[..., 0].astype(np.uint8), [cv2.IMWRITE_WEBP_QUALITY, 101])
    scan = table(tmp_path, ("p", "v.npy", "m.npy", 3), ("q", "p.webp", "m.webp", ""), ("r", "p.webp", "m.npy", ""))
    volume, picture = scan.records
    assert dict(Manifest().read(tmp_path, volume).masks).keys() == {3}
    np.testing.assert_array_equal(Manifest().read(tmp_path, volume).masks[3], MASKS[..., 3])
    np.testing.assert_array_equal(Manifest().read(tmp_path, picture).masks[0], MASKS[..., 0])
    assert [issue.kind for issue in scan.issues if issue.severity != "note"] == ["listed twice"]


def test_an_array_and_a_file_with_geometry_are_never_laid_upon_each_other(tmp_path):
    cube = np.random.default_rng(1).integers(0, 2, (6, 6, 6)).astype(np.uint8)
    np.save(tmp_path / "a.npy", cube)
    nib.save(nib.Nifti1Image(cube, np.diag([-1, -1, 4, 1])), tmp_path / "b.nii")
    for image, mask in (("b.nii", "a.npy"), ("a.npy", "b.nii")):
        (record,) = table(tmp_path, ("p", image, mask, "")).records
        pixels = Manifest(slice_axis=2).read(tmp_path, record)
        assert pixels.masks == {}
        assert [(issue.kind, issue.file, issue.skipped) for issue in pixels.issues] == [
            ("mask geometry unknown", mask, "mask")
        ]


def test_colored_arrays_and_missing_ones(tmp_path):
    np.save(tmp_path / "a.npy", VOLUME[..., :3])
    table(tmp_path, ("p", "a.npy", "", ""), ("q", "b.npz::x", "", ""), ("r", "../c.npz::x", "", ""))
    scan = Manifest(channels="rgb").scan(tmp_path)
    (record,) = scan.records
    assert (scan.channels, record.frames) == (RGB, 1)
    found = Manifest(channels="rgb").read(tmp_path, record).images
    np.testing.assert_array_equal(found[0], VOLUME[..., :3].transpose(2, 0, 1))
    kinds = [(issue.kind, issue.place) for issue in scan.issues if issue.severity != "note"]
    assert kinds == [("missing image", "row 3"), ("path outside the dataset", "row 4")]
    assert "last axis of colours or of slices" in check(DataSettings(layout=Manifest()), tmp_path).refusal


@pytest.mark.parametrize("name", ["a.npz", "A.NPZ"])
def test_an_error_names_the_array(tmp_path, name):
    np.savez(tmp_path / "x.npz", imgs=VOLUME, bad=np.full((4, 4), np.nan))
    (tmp_path / "x.npz").rename(tmp_path / name)
    table(tmp_path, ("p", f"{name}::bad", "", ""))
    report = check(DataSettings(layout=Manifest()), tmp_path)
    (issue,) = [issue for issue in report.issues if issue.severity == "damage"]
    assert (issue.file, issue.message) == (f"{name}::bad", "values that are not finite")
