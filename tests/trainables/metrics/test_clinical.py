import numpy as np
import pytest
from scipy import stats

from trainables.metrics.clinical import (
    Discs,
    agreement,
    biplane_volume,
    discs,
    ejection_fraction,
    single_plane_volumes,
)


def half_ellipse(
    length: float, radius: float, pixel: float, tilt: float, off: tuple[float, float] = (0.0, 0.0), size: float = 150
) -> np.ndarray:
    """A half ellipse, its middle in the image's, the apex up and tilted by degrees; all else in mm."""
    count = round(size / pixel)
    y, x = (np.mgrid[:count, :count] + 0.5) * pixel - size / 2
    angle = np.deg2rad(tilt)
    along, across = -y * np.cos(angle) + x * np.sin(angle), y * np.sin(angle) + x * np.cos(angle)
    along, across = along + 0.45 * length + off[0], across + off[1]
    return (along >= 0) & ((along / length) ** 2 + (across / radius) ** 2 < 1)


def volume(length: float, one: float, two: float) -> float:
    """Return the volume of half an ellipsoid in mL."""
    return 2 / 3 * np.pi * length * one * two / 1000


HEARTS = [((88, 24), (76, 16)), ((80, 26), (70, 21)), ((95, 32), (92, 30)), ((70, 20), (55, 12))]


def errors(pixel: float, tilts: list[float]) -> np.ndarray:
    """Ejection fraction of every heart and tilt, less the truth."""
    found = []
    for number, (tilt, hearts) in enumerate((tilt, hearts) for tilt in tilts for hearts in HEARTS):
        off = (0.37 * number % 1 * pixel, 0.59 * number % 1 * pixel)
        masks = np.stack([half_ellipse(*shape, pixel, tilt, off) for shape in hearts])
        truth = [volume(length, radius, radius) for length, radius in hearts]
        volumes = single_plane_volumes(masks, (pixel, pixel))
        np.testing.assert_allclose(volumes, truth, rtol=0.025)
        found.append(float(ejection_fraction(*volumes)) - float(ejection_fraction(*truth)))
    return np.array(found)


@pytest.mark.parametrize(("pixel", "tilts"), [(0.3, [0, 11, -27, 45, 100]), (0.6, [11, -27, 45, 100])])
def test_ejection_fraction_of_half_ellipsoids_within_half_a_point(pixel, tilts):
    assert np.abs(errors(pixel, tilts)).max() < 0.5


def test_ejection_fraction_from_coarse_pixels_is_unbiased():
    """At 1.1 mm, as a video of 112 pixels has, the masks themselves are no better than a point."""
    found = errors(1.1, [0, 7, 15, -20, 33, -45, 60, 100])
    assert abs(found.mean()) < 0.15
    assert np.abs(found).mean() < 0.5


def test_anisotropic_pixels():
    fine = half_ellipse(85, 25, 0.25, 20)
    coarse = fine[1::3, ::1]  # every third row: pixels of 0.75 mm by 0.25 mm
    assert single_plane_volumes(coarse[None], (0.75, 0.25))[0] == pytest.approx(volume(85, 25, 25), rel=0.02)


def test_the_axis_runs_from_base_to_apex():
    found = discs(half_ellipse(80, 25, 0.5, 30), (0.5, 0.5))
    assert isinstance(found, Discs)
    assert found.length == pytest.approx(80, abs=1.0)
    up = np.array([-np.cos(np.pi / 6), np.sin(np.pi / 6)])
    np.testing.assert_allclose(found.base, 75 - 0.45 * 80 * up, atol=1.5)
    np.testing.assert_allclose(found.apex, 75 + 0.55 * 80 * up, atol=1.5)
    heights = (np.arange(20) + 0.5) / 20
    np.testing.assert_allclose(found.diameters, 50 * np.sqrt(1 - heights**2), atol=1.5)


def test_a_whole_ellipsoid_and_a_sphere():
    y, x = np.mgrid[:200, :200] * 0.5 - 50.0
    found = single_plane_volumes(np.stack([(y / 45) ** 2 + (x / 22) ** 2 < 1, np.hypot(y, x) < 30]), (0.5, 0.5))
    np.testing.assert_allclose(found, [4 / 3 * np.pi * 45 * 22**2 / 1000, 4 / 3 * np.pi * 30**3 / 1000], rtol=0.02)


def test_biplane_volume_of_an_ellipsoid_with_unlike_axes():
    views = [discs(half_ellipse(85, radius, 0.4, tilt), (0.4, 0.4)) for radius, tilt in [(25, 10), (19, -20)]]
    assert biplane_volume(*views) == pytest.approx(volume(85, 25, 19), rel=0.02)
    assert biplane_volume(views[0], None) == 0.0


def test_only_the_largest_part_counts():
    mask = half_ellipse(80, 25, 0.5, 10)
    stray = mask.copy()
    stray[5:12, 5:12] = True
    np.testing.assert_array_equal(*(single_plane_volumes(m[None], (0.5, 0.5)) for m in (mask, stray)))


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (2, 2)])
def test_tiny_masks_have_a_volume(shape):
    mask = np.zeros((12, 12), bool)
    mask[2 : 2 + shape[0], 1 : 1 + shape[1]] = True
    assert 0 < single_plane_volumes(mask[None], (1.0, 1.0))[0] < 0.2


def test_what_has_no_volume():
    masks = np.zeros((2, 8, 8), bool)
    masks[1, 2:6, 2:6] = True
    assert single_plane_volumes(masks, (1.0, 1.0))[0] == 0
    assert np.isnan(single_plane_volumes(masks, (np.nan, np.nan))[1])
    assert np.isnan(ejection_fraction(0.0, 0.0))
    np.testing.assert_allclose(ejection_fraction(np.array([120.0, 80.0]), np.array([50.0, 80.0])), [70 / 1.2, 0.0])


def test_agreement_is_that_of_scipy():
    generator = np.random.default_rng(0)
    reference = generator.normal(100, 20, 50)
    measured = reference + generator.normal(-3, 5, 50)
    found = agreement(np.append(reference, np.nan), np.append(measured, 1.0))
    difference = measured - reference
    assert found.count == 50
    assert found.correlation == pytest.approx(stats.pearsonr(reference, measured).statistic)
    assert found.bias == pytest.approx(sum(difference) / 50)
    assert found.mae == pytest.approx(sum(abs(d) for d in difference) / 50)
    half = 1.96 * np.sqrt(sum((d - found.bias) ** 2 for d in difference) / 49)
    assert (found.lower, found.upper) == pytest.approx((found.bias - half, found.bias + half))


def test_agreement_of_too_little():
    nothing = agreement(np.array([np.nan]), np.array([1.0]))
    assert nothing.count == 0
    assert np.isnan([nothing.correlation, nothing.bias, nothing.mae, nothing.lower]).all()
    one = agreement(np.array([2.0]), np.array([3.0]))
    assert (one.bias, one.mae) == (1.0, 1.0)
    assert np.isnan([one.correlation, one.lower]).all()
    assert np.isnan(agreement(np.array([2.0, 2.0]), np.array([3.0, 4.0])).correlation)
