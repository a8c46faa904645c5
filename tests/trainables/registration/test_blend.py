import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from trainables.registration.blend import Rule, blend, signed_distance

RULES: list[Rule] = ["argmax", "threshold", "released"]


def by_loops(mask: np.ndarray, spacing: tuple[float, float]) -> np.ndarray:
    inside, outside = np.argwhere(mask), np.argwhere(~mask)
    result = np.zeros(mask.shape)
    for place in np.ndindex(mask.shape):
        others, sign = (outside, 1) if mask[place] else (inside, -1)
        result[place] = sign * np.hypot(*((others - place) * spacing).T).min()
    return result


def smooth_labels(seed: int, frames: int, size: int, classes: int) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(frames, classes, size, size))
    return ndimage.gaussian_filter(noise, (0, 0, 2.5, 2.5)).argmax(1).astype(np.uint8)


def test_signed_distance_by_loops():
    mask = smooth_labels(0, 1, 14, 2)[0] > 0
    for spacing in [(1.0, 1.0), (0.3, 0.7)]:
        np.testing.assert_allclose(signed_distance(mask, spacing), by_loops(mask, spacing), atol=1e-12)


def test_signed_distance_without_an_other_side_is_the_diagonal():
    mask = np.ones((3, 4), bool)
    assert (signed_distance(mask, (2.0, 1.0)) == np.hypot(6, 4)).all()
    assert (signed_distance(~mask, (2.0, 1.0)) == -np.hypot(6, 4)).all()


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=10, deadline=None)
def test_threshold_is_equation_1_and_classes_never_overlap(seed):
    spacing, classes, count = (0.4, 0.9), 3, 4
    forward, backward = smooth_labels(seed, count, 16, classes), smooth_labels(seed + 1, count, 16, classes)
    found = blend(forward, backward, classes, spacing, "threshold")
    for t in range(count):
        claimed = np.zeros((16, 16), int)
        for label in range(1, classes):
            if not (forward[t] == label).any() or not (backward[t] == label).any():
                return
            weight = np.cos(np.pi / (2 * (count - 1)) * t) ** 2
            value = by_loops(forward[t] == label, spacing) * weight
            value += by_loops(backward[t] == label, spacing) * (1 - weight)
            claimed += value > 1e-9
            np.testing.assert_array_equal((found[t] == label)[np.abs(value) > 1e-9], (value > 0)[np.abs(value) > 1e-9])
        assert claimed.max() <= 1


@pytest.mark.parametrize("rule", ["argmax", "threshold"])
def test_the_labelled_ends_keep_their_masks(rule):
    forward, backward = smooth_labels(1, 5, 40, 4), smooth_labels(2, 5, 40, 4)
    found = blend(forward, backward, 4, (0.5, 0.8), rule)
    np.testing.assert_array_equal(found[0], forward[0])
    np.testing.assert_array_equal(found[-1], backward[-1])
    assert found.dtype == np.uint8


@pytest.mark.parametrize("rule", RULES)
def test_two_edges_meet_at_the_weighted_middle(rule):
    """Half planes that end at columns 20 and 40: the blend ends at 30 in the middle of five frames."""
    forward, backward = np.zeros((2, 5, 48, 64), np.uint8)
    forward[..., :20], backward[..., :40] = 1, 1
    ends = (blend(forward, backward, 2, (1.0, 1.0), rule)[:, 24] == 1).sum(1)
    exact = 20 + 20 * np.sin(np.pi / 8 * np.arange(5)) ** 2
    np.testing.assert_allclose(ends, exact, atol=1.0)
    assert ends[2] == 30


def ring(centre: float, thickness: float = 12, size: int = 160) -> np.ndarray:
    """A cavity (1) within a wall (2)."""
    distance = np.hypot(*(np.mgrid[:size, :size] - np.array([80, centre])[:, None, None]))
    return np.where(distance < 30, 1, np.where(distance < 30 + thickness, 2, 0)).astype(np.uint8)


def test_argmax_keeps_a_thin_wall_that_the_equation_loses():
    """The opinions lie 20 pixels apart along the columns, the wall is 12 thick: across the motion, none is in both."""
    forward, backward, middle = ring(70), ring(90), ring(80)
    thickness = {
        rule: int((blend(np.stack([forward] * 3), np.stack([backward] * 3), 3, rule=rule)[1][80] == 2).sum())
        for rule in RULES
    }
    assert int((middle[80] == 2).sum()) == 24
    assert thickness["threshold"] == 0
    assert thickness["argmax"] >= 6


def test_released_closes_small_gaps():
    forward = ring(80)
    forward[78:80, 78:80] = 0
    found = blend(np.stack([forward] * 2), np.stack([forward] * 2), 3, rule="released")
    assert (found[:, 78:80, 78:80] == 1).all()
    kept = blend(np.stack([forward] * 2), np.stack([forward] * 2), 3, rule="threshold")
    np.testing.assert_array_equal(kept[0], forward)


@pytest.mark.parametrize("rule", RULES)
def test_frames_without_any_label_stay_empty(rule):
    empty = np.zeros((3, 20, 20), np.uint8)
    assert not blend(empty, empty, 3, rule=rule).any()


def test_distances_within_the_box_are_those_of_the_whole_image():
    """Check that the same labels blend the same in a corner and far from all borders."""
    one, two = smooth_labels(5, 3, 24, 3), smooth_labels(6, 3, 24, 3)
    for labels in (one, two):
        labels[:, 0], labels[:, -1], labels[:, :, 0], labels[:, :, -1] = 0, 0, 0, 0
    wide = [np.pad(labels, ((0, 0), (30, 30), (25, 25))) for labels in (one, two)]
    found = blend(wide[0], wide[1], 3, (0.7, 0.4))
    np.testing.assert_array_equal(found[:, 30:-30, 25:-25], blend(one, two, 3, (0.7, 0.4)))
    assert found.any()
