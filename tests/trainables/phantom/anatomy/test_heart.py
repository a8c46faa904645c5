import dataclasses

import numpy as np
import pytest

from trainables.phantom.anatomy.heart import LA, LV, MYOCARDIUM, RA, RV, draw_heart


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


@pytest.mark.parametrize("seed", range(4))
def test_the_myocardium_is_not_compressed(seed):
    heart, step = draw_heart(np.random.default_rng(seed)), 1.5
    line = np.arange(-75, 75, step)
    points = heart.centre + np.stack(np.meshgrid(line, line, line, indexing="ij"), axis=-1)
    muscle = [(heart.labels(points, contraction) == MYOCARDIUM).sum() for contraction in (0.0, 0.5, 1.0)]
    assert muscle[1] == pytest.approx(muscle[0], rel=0.015)
    assert muscle[2] == pytest.approx(muscle[0], rel=0.015)
    assert heart.thickness(0.0) == pytest.approx(heart.wall)
    assert heart.thickness(1.0) > 1.15 * heart.wall


@pytest.mark.parametrize("seed", range(4))
def test_the_right_ventricle_leans_on_the_septum(seed):
    heart = draw_heart(np.random.default_rng(seed))
    away = np.arange(0, heart.radius + heart.wall + 60, 0.5)
    base = 0.35 * heart.length * heart.axis
    towards = heart.labels(base + away[:, None] * heart.side, 0.0)
    assert towards[np.flatnonzero(np.diff(towards, prepend=0))].tolist() == [LV, MYOCARDIUM, RV, 0]
    opposite = heart.labels(base - away[:, None] * heart.side, 0.0)
    assert RV not in opposite


@pytest.mark.parametrize("seed", range(6))
def test_chambers_are_of_human_size_and_nothing_moves_beyond_what_is_searched(seed):
    heart, step = draw_heart(np.random.default_rng(seed)), 4.0
    line = np.arange(-130, 130, step)
    points = heart.centre + np.stack(np.meshgrid(line, line, line, indexing="ij"), axis=-1).reshape(-1, 3)
    near, spots, still = heart.near(points), heart.locate(points), np.full(len(points), 9, np.float32)
    counted = []
    for contraction in (0.0, 0.5, 1.0):
        labels, signal = heart.seen(spots, contraction, still)
        assert near[(labels > 0) | (signal != 9)].all()
        counted.append([(labels == label).sum() * step**3 / 1000 for label in (RV, LA, RA)])
    right, left_atrium, right_atrium = np.array(counted).T
    assert 60 < right[0] < 230
    assert 0.35 < 1 - right[2] / right[0] < 0.65
    assert left_atrium[2] > left_atrium[0]  # they fill while the ventricles empty
    assert right_atrium[2] > right_atrium[0]
