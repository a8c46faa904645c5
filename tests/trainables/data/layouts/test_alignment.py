from dataclasses import replace

import numpy as np
import pytest

from trainables.data.layouts.alignment import align_mask
from trainables.data.readers.grid import Grid

LABELS = np.random.default_rng(0).integers(0, 5, (6, 5, 4))
IMAGE = Grid((6, 5, 4), (1.5, 1.5, 8.0), np.diag([1.5, 1.5, 8.0, 1.0]))
UNKNOWN = Grid((6, 5, 4), (1.0, 1.0, 1.0))
STOCK = Grid((6, 5, 4), (1.0, 1.0, 1.0), np.diag([-1.0, -1.0, 1.0, 1.0]), stock=True)


def moved(grid: Grid, *start: float) -> Grid:
    affine = grid.affine.copy()
    affine[:3, 3] = start
    return replace(grid, affine=affine, stock=False)


def reversed_slices() -> Grid:
    affine = np.diag([1.5, 1.5, -8.0, 1.0])
    affine[2, 3] = 24
    return replace(IMAGE, affine=affine)


def test_a_mask_of_the_same_place_is_brought_to_the_images_order():
    aligned, issues = align_mask(LABELS[..., ::-1], reversed_slices(), IMAGE, "m.nii")
    np.testing.assert_array_equal(aligned, LABELS)
    assert issues == ()


@pytest.mark.parametrize(
    ("found", "expected", "which"),
    [
        (UNKNOWN, IMAGE, "mask"),
        (STOCK, IMAGE, "mask"),
        (IMAGE, UNKNOWN, "image"),
        (IMAGE, STOCK, "image"),
        (UNKNOWN, STOCK, ""),
        (UNKNOWN, UNKNOWN, ""),
        (STOCK, STOCK, ""),
    ],
)
def test_without_a_place_the_voxel_order_is_the_images_and_a_note_says_so(found, expected, which):
    aligned, issues = align_mask(LABELS, found, expected, "m.nii")
    np.testing.assert_array_equal(aligned, LABELS)
    assert [(issue.kind, issue.severity) for issue in issues] == [("mask geometry assumed", "note")] * bool(which)
    assert all(issue.message.startswith(f"the {which}'s header does not describe its place") for issue in issues)


def test_a_stock_affine_that_fits_is_believed():
    """A real image may have unit voxels at the origin: a mask of the same place is reoriented all the same."""
    affine = np.eye(4)
    affine[:2, 3] = (-5, -4)
    aligned, issues = align_mask(LABELS[::-1, ::-1], Grid((6, 5, 4), (1, 1, 1), affine), STOCK, "m.nii")
    np.testing.assert_array_equal(aligned, LABELS)
    assert issues == ()


@pytest.mark.parametrize(
    ("found", "kind", "text"),
    [
        (moved(IMAGE, 30, 0, 0), "mask geometry differs from the image", "by up to 20 voxels"),
        (replace(moved(IMAGE, 0, 0, 0), shape=(6, 5, 3)), "mask size differs from the image", "in size: not at the"),
        (replace(UNKNOWN, shape=(6, 5, 3)), "mask size differs from the image", "differ in size (found 6 x 5 x 3"),
        (replace(STOCK, shape=(5, 6, 4)), "mask size differs from the image", "in size: not at the same place"),
    ],
)
def test_another_place_or_size_is_a_loss_that_names_both(found, kind, text):
    aligned, (issue,) = align_mask(np.zeros(found.shape, int), found, IMAGE, "m.nii")
    assert aligned is None
    assert (issue.file, issue.kind, issue.severity, issue.skipped) == ("m.nii", kind, "loss", "mask")
    assert text in issue.message
    assert f"(found {found}, expected {IMAGE}). Fix: " in issue.message


def test_another_voxel_size_is_noted():
    affine = np.diag([0.75, 1.5, 8.0, 1.0])
    affine[0, 3] = -0.375
    fine = Grid((12, 5, 4), (0.75, 1.5, 8.0), affine)
    aligned, (issue,) = align_mask(LABELS.repeat(2, axis=0), fine, IMAGE, "m.nii")
    np.testing.assert_array_equal(aligned, LABELS)
    assert (issue.kind, issue.severity) == ("mask resampled", "note")
