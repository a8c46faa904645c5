import contextlib
from dataclasses import replace
from itertools import permutations, product

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainables.data.readers.grid import Grid
from trainables.data.readers.resample import GridMismatch, resample

SHAPE, ZOOMS = (7, 6, 4), (1.5, 1.25, 8.0)
LABELS = np.random.default_rng(0).integers(0, 5, SHAPE)
ANGLE = np.deg2rad(20)
SHEAR = np.array([[0, 0, 0.1], [0, 0, 0], [0, 0, 0]])
OBLIQUE = np.array([[np.cos(ANGLE), -np.sin(ANGLE), 0], [np.sin(ANGLE), np.cos(ANGLE), 0], [0, 0, 1]])


def grid(shape=SHAPE, zooms=ZOOMS, *, start=(-40.0, 12.0, 3.0), turn=OBLIQUE) -> Grid:
    affine = np.eye(4)
    affine[:3, :3] = turn * zooms
    affine[:3, 3] = start
    return Grid(shape, zooms, affine)


@pytest.mark.parametrize("axes", list(permutations(range(3))))
@pytest.mark.parametrize("flips", list(product((1, -1), repeat=3)))
def test_a_mask_in_any_voxel_order_comes_back_as_it_was(axes, flips):
    """Nibabel stores the volume in each of the 48 orders of voxels that describe one place."""
    expected = grid()
    order = np.array([[axes.index(axis), flips[axis]] for axis in range(3)])
    stored = nib.Nifti1Image(LABELS.astype(np.int16), expected.affine).as_reoriented(order)
    found = Grid(stored.shape, None, np.asarray(stored.affine))
    np.testing.assert_array_equal(resample(np.asarray(stored.dataobj), found, expected), LABELS)
    twice = np.stack([stored.dataobj, stored.dataobj], axis=-1)
    np.testing.assert_array_equal(resample(twice, found, expected)[..., 1], LABELS)


def test_voxels_of_another_size_are_repeated_or_left_out():
    fine = grid((14, 6, 8), (0.75, 1.25, 4.0))
    fine.affine[:3, 3] = grid().affine[:3, 3] - grid().affine[:3, :3] @ [0.25, 0, 0.25]  # the outer faces are the same
    repeated = LABELS.repeat(2, axis=0).repeat(2, axis=2)
    np.testing.assert_array_equal(resample(LABELS, grid(), fine), repeated)
    np.testing.assert_array_equal(resample(repeated, fine, grid()), LABELS)


def test_less_than_half_a_voxel_apart_is_the_same_place():
    nearly = grid(start=(-40.0 + 0.4, 12.0, 3.0 + 3.0), turn=OBLIQUE + 1e-4)
    np.testing.assert_array_equal(resample(LABELS, nearly, grid()), LABELS)


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (grid(start=(-39.0, 12.0, 3.0)), "not at the same place"),
        (grid(start=(-40.0, 12.0, 11.0)), "not at the same place, by up to 1 voxels"),
        (grid((6, 6, 4)), "not at the same place, by up to 1 voxels"),
        (grid(zooms=(1.5, 1.25, 6.0)), "not at the same place"),
        (grid(turn=np.eye(3)), "rotated against each other"),
        (grid(turn=OBLIQUE + SHEAR), "rotated against each other"),
        (grid(turn=np.ones((3, 3))), "of an affine that has no inverse"),
        (replace(grid(), affine=None), "without an affine"),
    ],
)
def test_grids_of_other_places_or_directions_are_refused(found, reason):
    with pytest.raises(GridMismatch, match=reason):
        resample(LABELS[: found.shape[0]], found, grid())


def test_single_slices_lie_upon_each_other_wherever_they_are():
    one = grid((7, 6, 1))
    other = grid((7, 6, 1), (1.5, 1.25, 1.0), start=(-40.0, 12.0, 70.0))
    np.testing.assert_array_equal(resample(LABELS[..., :1], other, one), LABELS[..., :1])
    with pytest.raises(GridMismatch, match="not at the same place"):
        resample(LABELS[..., :1], one, grid())


NUMBERS = st.sampled_from([0.0, 1.0, -1.5, 8.0, 1e-30, 1e200, -1e308]) | st.floats(-1e3, 1e3)


@pytest.mark.filterwarnings("error")
@given(numbers=st.lists(NUMBERS, min_size=12, max_size=12))
def test_no_affine_makes_it_crash(numbers):
    affine = np.vstack([np.reshape(numbers, (3, 4)), [0, 0, 0, 1]])
    for found, expected in ((replace(grid(), affine=affine), grid()), (grid(), replace(grid(), affine=affine))):
        with contextlib.suppress(GridMismatch):
            assert resample(LABELS, found, expected).shape == SHAPE
