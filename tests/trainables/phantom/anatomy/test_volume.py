import dataclasses
import itertools

import numpy as np
import pytest
from scipy.interpolate import RegularGridInterpolator

from trainables.phantom.anatomy.volume import Body, Volume, bent_space, smooth_field


@pytest.mark.parametrize("turn", [0.0, 0.6])
def test_an_ellipsoid_has_its_volume_and_its_surface(straight, turn):
    space = straight()
    depth = space.ellipsoid((1, -2, 0.5), (12, 8, 15), turn=turn)
    assert (depth > 0).sum() == pytest.approx(4 / 3 * np.pi * 12 * 8 * 15, rel=0.01)
    centre = np.array([space.x[depth > 0].mean(), space.y[depth > 0].mean(), space.z[depth > 0].mean()])
    np.testing.assert_allclose(centre, (1, -2, 0.5), atol=0.05)
    if turn:  # about z, from x towards y
        x, y = space.x[depth > 0] - centre[0], space.y[depth > 0] - centre[1]
        assert 0.5 * np.arctan2(2 * (x * y).mean(), (x * x - y * y).mean()) == pytest.approx(turn, abs=0.03)


def test_higher_powers_are_boxier(straight):
    space = straight()
    assert (space.ellipsoid((0, 0, 0), (10, 10, 10), 40) > 0).sum() == pytest.approx(20**3, rel=0.1)


def test_a_tube_is_as_deep_as_its_line_is_near(straight):
    space = straight()
    path = [(-10.0, 0.0, 0.0), (5.0, 3.0, 0.0), (5.0, 3.0, 12.0)]
    dense = np.concatenate([np.linspace(a, b, 400) for a, b in itertools.pairwise(path)])
    depth = space.tube(path, 4.0)
    rng = np.random.default_rng(0)
    for place in rng.integers(0, 40, (50, 3)):
        i, j, k = place
        here = np.array([space.x[i, j, k], space.y[i, j, k], space.z[i, j, k]])
        assert depth[i, j, k] == pytest.approx(4 - np.linalg.norm(dense - here, axis=1).min(), abs=0.01)


def test_a_patient_is_bent_the_same_way_at_any_resolution():
    coarse, fine = (bent_space((n, n, n), (60.0, 60.0, 60.0), 3.0, np.random.default_rng(1)) for n in (20, 60))
    for axis in ("x", "y", "z"):
        middle = getattr(fine, axis)[1::3, 1::3, 1::3]  # the voxels that share their centre with a coarse one
        np.testing.assert_allclose(getattr(coarse, axis), middle, atol=1e-3)


def test_a_smooth_field_is_the_cubic_spline_through_its_knots():
    shape, knots = (9, 14, 6), (6, 5, 4)
    coarse = np.random.default_rng(2).standard_normal(knots)
    reference = RegularGridInterpolator([np.arange(n) for n in knots], coarse, method="cubic")
    places = np.meshgrid(
        *[(np.arange(n) + 0.5) / n * (k - 1) for n, k in zip(shape, knots, strict=True)], indexing="ij"
    )
    field = smooth_field(shape, knots, np.random.default_rng(2))
    np.testing.assert_allclose(field, reference(np.stack(places, -1)), atol=1e-4)


def test_what_is_painted_later_covers_what_was_there(straight):
    space = straight((4, 4, 4))
    body = Body(space, "fat")
    body.paint("muscle", space.x > -1)
    body.paint("bone", space.x - 1)  # depths
    assert body.where("fat").sum() == 16
    assert body.where("muscle").sum() == 32
    assert body.where("bone", "fat").sum() == 32
    assert body.where("lung").sum() == 0
    levels = {"fat": 1.0, "muscle": 2.0, "bone": 3.0}
    np.testing.assert_array_equal(body.signal(levels)[:, 0, 0], [1, 2, 2, 3])


def test_the_affine_puts_the_middle_at_the_origin():
    volume = Volume(np.zeros((4, 6, 3, 1)), np.zeros((4, 6, 3), np.uint8), (0.5, 2.0, 3.0))
    np.testing.assert_allclose(volume.affine @ [1.5, 2.5, 1, 1], [0, 0, 0, 1])
    np.testing.assert_allclose(volume.affine @ [2.5, 2.5, 1, 1], [0.5, 0, 0, 1])


def test_a_space_with_other_coordinates_keeps_its_shape(straight):
    space = straight((5, 6, 7))
    assert dataclasses.replace(space, z=space.z + 1).shape == (5, 6, 7)
