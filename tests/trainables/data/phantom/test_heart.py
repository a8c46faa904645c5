import dataclasses

import numpy as np
import pytest

from trainables.data.phantom.heart import LA, LV, MYOCARDIUM, RV, draw_heart


@pytest.fixture(scope="module")
def heart():
    return draw_heart(np.random.default_rng(5))


def grid(heart, step):
    """Places of a cube around the heart, `(n, n, n, 3)` mm."""
    line = np.arange(-85, 85, step)
    return heart.centre + np.stack(np.meshgrid(line, line, line, indexing="ij"), axis=-1)


def test_the_cavity_has_the_volume_of_half_an_ellipsoid(heart):
    even = dataclasses.replace(heart, sluggish=(0.0, 1.0, 0.0))
    for contraction in (0.0, 0.6, 1.0):
        length = even.length * (1 - even.shortening * contraction)
        radius = even.radius * (1 - even.narrowing * contraction)
        assert even.volume(contraction) == pytest.approx(2 / 3 * np.pi * radius**2 * length / 1000, rel=1e-9)


@pytest.mark.parametrize("contraction", [0.0, 1.0])
def test_the_labels_have_that_volume(heart, contraction):
    step = 2.0
    counted = (heart.labels(grid(heart, step), contraction) == LV).sum() * step**3 / 1000
    assert counted == pytest.approx(heart.volume(contraction), rel=0.03)


def test_a_part_that_moves_less_keeps_the_ventricle_larger(heart):
    lazy = dataclasses.replace(heart, sluggish=(0.3, 0.8, 0.9))
    even = dataclasses.replace(heart, sluggish=(0.3, 0.8, 0.0))
    assert lazy.volume(0.0) == pytest.approx(even.volume(0.0))
    assert lazy.volume(1.0) > 1.02 * even.volume(1.0)


def test_structures_lie_as_in_the_body(heart):
    points = grid(heart, 3.0)
    labels = heart.labels(points, 0.0)
    place = {label: points[labels == label].mean(axis=0) for label in (LV, MYOCARDIUM, RV, LA)}
    apex = heart.axis * heart.length
    assert apex[0] > 20 > -20 > apex[1]  # left and front
    assert apex[2] < -20  # and down
    assert (place[RV] - place[LV])[0] < 0  # the right ventricle lies to the right,
    assert (place[RV] - place[LV])[1] < 0  # and in front
    assert (place[LA] - place[LV]) @ heart.axis < -30  # the atrium beyond the base


def test_the_wall_surrounds_the_cavity_below_the_base(heart):
    rng = np.random.default_rng(0)
    height = rng.uniform(0.1, 0.95, 200) * heart.length
    angle = rng.uniform(0, 2 * np.pi, 200)
    radius = heart.radius * np.sqrt(1 - (1 - height / heart.length) ** 2)
    across = np.cos(angle)[:, None] * heart.side + np.sin(angle)[:, None] * heart.third
    spine = (heart.length - height)[:, None] * heart.axis
    assert (heart.labels(spine + 0.97 * radius[:, None] * across, 0.0) == LV).all()
    assert (heart.labels(spine + (radius[:, None] + 0.5 * heart.wall) * across, 0.0) == MYOCARDIUM).all()
