import numpy as np
import pytest

from trainables.phantom import PhantomSettings
from trainables.phantom.imaging.cine import draw_cine, subject_name

SETTINGS = PhantomSettings(subjects=40, frames=16, size=48)


@pytest.fixture(scope="module")
def cines():
    return [draw_cine(SETTINGS, subject_name(SETTINGS, number)) for number in range(40)]


def test_a_patient_depends_on_the_name_and_the_seed_alone(cines):
    np.testing.assert_array_equal(draw_cine(SETTINGS, subject_name(SETTINGS, 3)).images, cines[3].images)
    fewer = PhantomSettings(subjects=5, frames=16, size=48)
    np.testing.assert_array_equal(draw_cine(fewer, subject_name(fewer, 3)).images, cines[3].images)
    other = PhantomSettings(subjects=40, frames=16, size=48, seed=1)
    assert subject_name(other, 3) != subject_name(SETTINGS, 3)
    assert not np.array_equal(draw_cine(other, subject_name(SETTINGS, 3)).images, cines[3].images)


def test_ends_of_the_cycle_are_the_largest_and_smallest_ventricle(cines):
    for cine in cines:
        areas = [cine.left_ventricle(frame).sum() for frame in range(16)]
        assert areas[cine.end_diastole] >= 0.95 * max(areas)
        assert areas[cine.end_systole] <= 1.05 * min(areas)


def test_patients_differ_as_patients_do(cines):
    fractions = np.array([cine.ejection_fraction for cine in cines])
    volumes = np.array([cine.volumes[0] for cine in cines])
    grey = np.array([cine.images.mean() for cine in cines])
    assert fractions.min() < 45
    assert fractions.max() > 60
    assert (fractions > 10).all()
    assert (fractions < 85).all()
    assert volumes.min() > 10
    assert volumes.max() < 450
    assert 40 < np.median(volumes) < 150
    assert grey.std() / grey.mean() > 0.2


def test_a_threshold_does_not_find_the_ventricle(cines):
    """Else the phantom would be too easy to tell one way of learning from another."""
    scores = []
    for cine in cines:
        image, truth = cine.images[cine.end_diastole], cine.left_ventricle(cine.end_diastole)
        lit = image[image > 0]
        best = 0.0
        for level in np.quantile(lit, [0.1, 0.2, 0.3, 0.4, 0.5]):
            dark = (image < level) & (image > 0)
            best = max(best, 2 * (dark & truth).sum() / (dark.sum() + truth.sum()))
        scores.append(best)
    assert np.mean(scores) < 0.6
