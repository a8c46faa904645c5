from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainables.data.readers.grid import Grid, choose_slice_axis, require_slice_axis


def turned(rng: np.random.Generator) -> np.ndarray:
    """Return the affine `(4, 4)` of voxels of random size, turned and shifted at random."""
    affine = np.eye(4)
    affine[:3, :3] = np.linalg.qr(rng.normal(size=(3, 3)))[0] * rng.uniform(0.5, 3, 3)
    affine[:3, 3] = rng.normal(0, 100, 3)
    return affine


@given(seed=st.integers(0, 10_000), slice_axis=st.sampled_from([0, 1, 2]))
def test_every_pixel_lies_where_the_affine_puts_its_voxel(seed, slice_axis):
    rng = np.random.default_rng(seed)
    shape, affine = tuple(rng.integers(1, 7, 3).tolist()), turned(rng)
    grid = Grid(shape, tuple(np.linalg.norm(affine[:3, :3], axis=0)), affine, slice_axis)
    numbers = np.arange(np.prod(shape)).reshape(shape)
    upright, planes = grid.upright(numbers), grid.planes()
    assert upright.shape[0] == grid.slices == shape[slice_axis]
    for slice_, row, column in np.ndindex(upright.shape):
        origin, down, right = planes[slice_]
        voxel = np.unravel_index(upright[slice_, row, column], shape)
        np.testing.assert_allclose(origin + row * down + column * right, (affine @ [*voxel, 1])[:3], atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(planes[0, 1:], axis=1), grid.spacing)
    np.testing.assert_array_equal(grid.voxels(upright), numbers)
    moments = np.stack([numbers, -numbers], axis=-1)
    assert grid.upright(moments).shape == (2, *upright.shape)
    np.testing.assert_array_equal(grid.voxels(grid.upright(moments)), moments)


@pytest.mark.parametrize(
    ("shape", "zooms", "options", "axis"),
    [
        ((256, 256, 20), (1.5, 1.5, 8), {}, 2),
        ((20, 256, 256), (8, 1.5, 1.5), {}, 0),
        ((256, 20, 256), (1.5, 8, 1.5), {}, 1),
        ((256, 256, 200), (1, 1, 1), {}, 2),
        ((256, 256, 200), (1.0, 0.977, 0.977), {}, 2),  # isotropic but for a little
        ((512, 512, 300), (0.9, 0.9, 0.625), {}, 2),  # no single largest spacing
        ((20, 256, 256), None, {}, 2),
        ((256, 256, 256), (1, 1, 1), {"acquired": 1}, 1),
        ((20, 256, 256), (8, 1.5, 1.5), {"acquired": 2}, 2),
        ((20, 256, 256), (8, 1.5, 1.5), {"told": 2, "acquired": 0}, 2),
        ((256, 1, 256), (1, 1, 9), {"acquired": 2}, 1),  # one slice
        ((256, 256, 1, 30), (1, 1, 8, 1), {}, 2),
        ((300, 200), (8, 1, 1), {"told": 0}, 2),  # a single image
    ],
)
def test_slices_follow_the_setting_the_header_or_the_largest_spacing(shape, zooms, options, axis):
    assert choose_slice_axis(shape, zooms, **options) == axis


def test_an_axis_that_no_volume_has_is_refused():
    for axis in (None, 0, 1, 2):
        require_slice_axis(axis)
    with pytest.raises(ValueError, match="slice_axis 3: expected an axis of the files' arrays, 0, 1 or 2"):
        require_slice_axis(3)


def test_a_grid_says_its_size_directions_and_place():
    affine = np.array([[0, -1.5, 0, 30], [1.5, 0, 0, -4], [0, 0, 8, 0], [0, 0, 0, 1.0]])
    grid = Grid((80, 96, 6), (1.5, 1.5, 8), affine)
    assert str(grid) == "80 x 96 x 6 voxels of 1.5 x 1.5 x 8 mm along PRS from LPS (30, -4, 0)"
    assert str(replace(grid, affine=None)) == "80 x 96 x 6 voxels of 1.5 x 1.5 x 8 mm"
    assert str(Grid((80, 96, 1))) == "80 x 96 x 1 voxels"


def test_a_plane_does_not_depend_on_the_distance_of_the_slices():
    affine = np.diag([2.0, 2, 0, 1])  # the third axis is time, without a size
    plane = Grid((5, 6, 7), (2, 2, 0), affine).plane()
    assert plane.shape == (5, 6, 1)
    np.testing.assert_allclose(plane.affine, np.diag([2, 2, 2, 1]))
    assert Grid((5, 6, 7)).plane() == Grid((5, 6, 1))
