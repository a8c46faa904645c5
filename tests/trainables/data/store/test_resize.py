import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainables.data.store.resize import PixelGrid


def test_shrinking_averages_whole_blocks():
    images = np.random.default_rng(0).integers(0, 256, (3, 2, 24, 36)).astype(np.uint8)
    expected = images.reshape(3, 2, 12, 2, 12, 3).mean(axis=(3, 5))
    assert np.abs(PixelGrid.stretched((24, 36), 12).images(images) - expected).max() <= 0.51


def test_enlarging_is_bilinear_between_pixel_centres():
    images = np.array([[[[0, 100], [100, 200]]]], np.uint8)
    np.testing.assert_array_equal(PixelGrid.stretched((2, 2), 4).images(images)[0, 0, 0], [0, 25, 75, 100])


def test_masks_take_the_pixel_whose_centre_is_nearest():
    mask = np.arange(81, dtype=np.uint8).reshape(9, 9)
    np.testing.assert_array_equal(PixelGrid.stretched((9, 9), 3).mask(mask), mask[1::3, 1::3])
    np.testing.assert_array_equal(PixelGrid.stretched((9, 9), 27).mask(mask), np.repeat(np.repeat(mask, 3, 0), 3, 1))


def test_a_resolution_is_kept_by_cutting_and_padding_about_the_centre():
    image = np.random.default_rng(1).integers(1, 256, (1, 1, 20, 8)).astype(np.uint8)
    grid = PixelGrid.centered((20, 8), 12, (1.5, 1.5), 1.5)
    stored = grid.images(image)[0, 0]
    np.testing.assert_array_equal(stored[:, 2:10], image[0, 0, 4:16])
    assert not stored[:, :2].any()
    assert not stored[:, 10:].any()
    np.testing.assert_array_equal(grid.mask(image[0, 0]), stored)
    assert grid.spacing((1.5, 1.5)) == (1.5, 1.5)


@given(
    shape=st.tuples(st.integers(8, 60), st.integers(8, 60)),
    size=st.integers(8, 40),
    pixel_mm=st.one_of(st.none(), st.floats(0.5, 3)),
    seed=st.integers(0, 1000),
)
def test_a_stored_pixel_lies_in_the_patient_where_its_source_pixels_do(shape, size, pixel_mm, seed):
    rng = np.random.default_rng(seed)
    plane = rng.normal(size=(1, 3, 3))
    spacing = (float(rng.uniform(0.7, 2)), float(rng.uniform(0.7, 2)))
    grid = PixelGrid.stretched(shape, size) if pixel_mm is None else PixelGrid.centered(shape, size, spacing, pixel_mm)
    stored = grid.planes(plane)[0]
    row, column = rng.integers(0, size, 2)
    source = [
        (place + offset + 0.5) * scale - 0.5
        for place, offset, scale in zip((row, column), grid.offset, grid.scale, strict=True)
    ]
    expected = plane[0, 0] + source[0] * plane[0, 1] + source[1] * plane[0, 2]
    np.testing.assert_allclose(stored[0] + row * stored[1] + column * stored[2], expected, atol=1e-9)
    if pixel_mm is not None and min(grid.resized) > 20:
        assert grid.spacing(spacing) == pytest.approx((pixel_mm, pixel_mm), rel=0.03)


def test_a_bright_dot_is_stored_where_the_planes_say():
    image = np.zeros((1, 1, 90, 60), np.uint8)
    image[0, 0, 63, 30] = 255
    plane = np.array([[[0.0, 0, 0], [1, 0, 0], [0, 1, 0]]])  # patient x is the row, y the column
    for grid in (PixelGrid.stretched((90, 60), 30), PixelGrid.centered((90, 60), 40, (1.0, 1.0), 2.0)):
        stored, (origin, down, right) = grid.images(image)[0, 0].astype(float), grid.planes(plane)[0]
        rows, columns = np.indices(stored.shape)
        middle = [(stored * axis).sum() / stored.sum() for axis in (rows, columns)]
        found = origin + middle[0] * down + middle[1] * right
        np.testing.assert_allclose(found[:2], [63, 30], atol=1.5)
