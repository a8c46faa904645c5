import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.draw import polygon

from trainables.data.layouts.tracing import fill_polygon, polygon_area

points = st.lists(st.tuples(st.integers(-6, 26), st.integers(-6, 30)), min_size=3, max_size=14)


@settings(max_examples=400, deadline=None)
@given(points)
def test_pixels_are_those_of_scikit_image_even_for_self_crossing_outlines(vertices):
    shape = (24, 20)
    expected = np.zeros(shape, bool)
    x, y = np.array(vertices).T
    expected[polygon(y, x, shape)] = True
    np.testing.assert_array_equal(fill_polygon(np.array(vertices, float), shape), expected)


def test_vertices_are_rounded_before_filling():
    expected = np.zeros((10, 10), bool)
    expected[2:7, 3:9] = True
    np.testing.assert_array_equal(
        fill_polygon(np.array([[2.6, 1.6], [8.4, 1.6], [8.4, 6.4], [2.6, 6.4]]), (10, 10)), expected
    )


def test_a_polygon_outside_the_image_covers_nothing():
    assert not fill_polygon(np.array([[30.0, 30.0], [40.0, 30.0], [35.0, 40.0]]), (20, 20)).any()


def test_area_of_an_ellipse():
    angle = np.linspace(0, 2 * np.pi, 2000, endpoint=False)
    outline = np.stack([50 + 30 * np.cos(angle), 40 + 12 * np.sin(angle)], axis=1)
    assert polygon_area(outline) == pytest.approx(np.pi * 30 * 12, rel=1e-5)
