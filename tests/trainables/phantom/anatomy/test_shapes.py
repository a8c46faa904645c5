import cv2
import numpy as np
import pytest

from trainables.phantom.anatomy.shapes import beat, draw_heart


@pytest.fixture(params=range(8))
def heart(request):
    return draw_heart(np.random.default_rng(request.param), 24)


def test_a_beat_goes_from_rest_to_full_contraction_and_back():
    whole = beat(1000, 1.0, 0.0, 0.4)
    assert whole[0] == pytest.approx(0, abs=1e-9)
    assert np.argmax(whole) == pytest.approx(400, abs=1)
    assert whole.max() == pytest.approx(1, abs=1e-4)
    assert whole[-1] < 0.01
    assert np.abs(np.diff(whole)).max() < 0.02  # no jumps
    np.testing.assert_allclose(beat(500, 1.0, 0.25, 0.4)[0], whole[250])


def test_volume_is_that_of_the_solid_of_revolution(heart):
    s = (np.arange(20_000) + 0.5) / 20_000
    diameter = heart.half_width(s, -1, 3) + heart.half_width(s, 1, 3)
    integral = np.pi / 4 * np.mean(diameter**2) * heart.lengths()[3]
    assert heart.volume(3) == pytest.approx(integral, rel=0.01)


def test_outline_and_membership_agree(heart):
    size = 400
    centre = (np.arange(size) + 0.5) / size
    covered = heart.covers(*np.meshgrid(centre, centre), 5)
    drawn = np.zeros((size, size), np.uint8)
    cv2.fillPoly(drawn, [np.rint((heart.left_ventricle(5) * size - 0.5) * 16).astype(np.int32)], 1, shift=4)
    overlap = (covered & (drawn > 0)).sum() / (covered | (drawn > 0)).sum()
    assert overlap > 0.97


def test_the_wall_thickens_and_the_cavity_shrinks_in_systole(heart):
    rest, tense = int(np.argmin(heart.contraction)), int(np.argmax(heart.contraction))
    assert heart.volume(tense) < heart.volume(rest)
    assert heart.walls()[tense] > heart.walls()[rest]
    assert heart.lengths()[tense] < heart.lengths()[rest]
