import numpy as np
import pytest
from scipy import integrate

from trainables.metrics.temporal import area_curves, smoothness


def test_areas_are_counted_by_class():
    masks = np.random.default_rng(0).integers(0, 4, (5, 6, 7))
    expected = [[(frame == label).sum() * 0.5 * 0.3 for label in (1, 2, 3)] for frame in masks]
    np.testing.assert_allclose(area_curves(masks, 4, (0.5, 0.3)), expected)
    np.testing.assert_array_equal(area_curves(masks.astype(np.uint8), 6)[:, 3:], 0)


def test_a_parabola_exactly_and_a_sine_by_quadrature():
    t = np.arange(9.0)
    curves = np.stack([3 * t**2 - t, 5 * t + 2], 1)
    np.testing.assert_allclose(smoothness(curves), [8 * 6.0**2, 0.0], atol=1e-9)
    time = np.linspace(0, 2.5, 500)
    exact, _ = integrate.quad(lambda s: (4 * 9 * np.sin(3 * s)) ** 2, 0, 2.5)
    assert float(smoothness(4 * np.sin(3 * time), frame_time=time[1])) == pytest.approx(exact, rel=0.01)


def test_jitter_is_less_smooth():
    t = np.linspace(0, 1, 20)
    curve = 1000 - 300 * np.sin(np.pi * t)
    assert smoothness(curve + np.random.default_rng(0).normal(0, 20, 20)) > 10 * smoothness(curve)


def test_too_short_a_curve_is_refused():
    with pytest.raises(ValueError, match="a curve of 2 frames"):
        smoothness(np.zeros(2))
