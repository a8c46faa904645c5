import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from trainables.pretext.parts.planes import intersection_line, intersection_point, normal_of


def plane(rng):
    """A plane in any direction, its pixels 0.5 to 3 mm."""
    q, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    return np.stack([rng.normal(0, 50, 3), q[0] * rng.uniform(0.5, 3), q[1] * rng.uniform(0.5, 3)])


def patient(image, place):
    return image[0] + place[0] * image[1] + place[1] * image[2]


@given(st.integers(0, 10_000))
def test_a_cut_lies_on_both_planes_and_its_steps_are_millimetres(seed):
    rng = np.random.default_rng(seed)
    image, other = plane(rng), plane(rng)
    line = intersection_line(image, other)
    if line is None:
        assert abs(normal_of(image) @ normal_of(other)) > 0.996
        return
    for along in (-70.0, 0.0, 12.5):
        point = patient(image, line.point + along * line.step)
        np.testing.assert_allclose((point - other[0]) @ normal_of(other), 0, atol=1e-6)
        np.testing.assert_allclose((point - image[0]) @ normal_of(image), 0, atol=1e-6)
    away = patient(image, line.point + 10 * line.step) - patient(image, line.point)
    np.testing.assert_allclose(away, 10 * line.direction, atol=1e-6)


@given(st.integers(0, 10_000))
def test_three_planes_meet_in_one_point(seed):
    rng = np.random.default_rng(seed)
    image, one, two = plane(rng), plane(rng), plane(rng)
    lines = intersection_line(image, one), intersection_line(image, two)
    if lines[0] is None or lines[1] is None:
        return
    place = intersection_point(*lines)
    if place is None or np.abs(place).max() > 1e3:
        return
    normals = np.stack([normal_of(each) for each in (image, one, two)])
    offsets = [normal @ each[0] for normal, each in zip(normals, (image, one, two), strict=True)]
    np.testing.assert_allclose(patient(image, place), np.linalg.solve(normals, offsets), atol=1e-6)


def test_parallel_planes_do_not_cut():
    image = plane(np.random.default_rng(0))
    moved = image.copy()
    moved[0] += 7 * normal_of(image)
    assert intersection_line(image, moved) is None


def test_lines_that_hardly_differ_do_not_meet():
    image = np.array([[0, 0, 0], [0, 1.0, 0], [1.0, 0, 0]])

    def upright(degrees):
        turn = np.deg2rad(degrees)
        return np.array([[50, 50, 0], [np.cos(turn), np.sin(turn), 0], [0, 0, 1.0]])

    line = intersection_line(image, upright(0))
    assert intersection_point(line, intersection_line(image, upright(4))) is None
    np.testing.assert_allclose(intersection_point(line, intersection_line(image, upright(6))), [50, 50])


def test_a_line_turns_towards_a_direction_unless_it_runs_across():
    image = np.array([[0, 0, 0], [0, 2.0, 0], [2.0, 0, 0]])
    line = intersection_line(
        image, np.array([[0, 30, 0], [0, 0, 1.0], [1.0, 0, 0]])
    )  # runs along the first axis: columns
    left, right = np.array([1.0, 0, 0]), np.array([-1.0, 0, 0])
    np.testing.assert_allclose(line.towards(left).step, [0, 0.5])
    np.testing.assert_allclose(line.towards(right).step, [0, -0.5])
    np.testing.assert_allclose(line.towards(right).direction, right)
    assert line.towards(np.array([np.sin(0.05), 0, np.cos(0.05)])) is None
