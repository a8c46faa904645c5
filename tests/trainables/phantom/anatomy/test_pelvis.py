import numpy as np
import pytest
from scipy import ndimage

from trainables.phantom import PhantomSettings
from trainables.phantom.anatomy.pelvis import PERIPHERAL, TRANSITION, draw_pelvis

SETTINGS = PhantomSettings(size=96, slices=20)


@pytest.fixture(scope="module")
def patients():
    return [draw_pelvis(SETTINGS, f"prostate_{number:02d}") for number in range(16)]


def millilitres(volume, *labels):
    return np.isin(volume.labels, labels).sum() * np.prod(volume.spacing) / 1000


def test_a_patient_depends_on_the_seed_and_the_name_alone(patients):
    again = draw_pelvis(PhantomSettings(size=96, slices=20, subjects=5), "prostate_03")
    np.testing.assert_array_equal(again.images, patients[3].images)
    np.testing.assert_array_equal(again.labels, patients[3].labels)
    other = draw_pelvis(PhantomSettings(size=96, slices=20, seed=1), "prostate_03")
    assert not np.array_equal(other.labels, patients[3].labels)


def test_arrays_are_as_the_writers_take_them(patients):
    for volume in patients:
        assert volume.images.shape == (96, 96, 20, 2)
        assert volume.images.dtype == np.float32
        assert volume.labels.dtype == np.uint8
        assert np.isfinite(volume.images).all()
        assert np.unique(volume.labels).tolist() == [0, 1, 2]
        assert volume.spacing == pytest.approx((2.0, 2.0, 3.6))


def test_prostates_are_of_human_size(patients):
    """The published labels have 25 to 70 mL and peripheral zones of a tenth to half of that."""
    glands = np.array([millilitres(volume, PERIPHERAL, TRANSITION) for volume in patients])
    shares = np.array([millilitres(volume, PERIPHERAL) for volume in patients]) / glands
    assert (glands > 15).all()
    assert (glands < 110).all()
    assert glands.std() / glands.mean() > 0.15
    assert (shares > 0.05).all()
    assert (shares < 0.75).all()
    assert shares.std() > 0.05


def test_a_patient_has_the_same_prostate_at_any_resolution():
    for name in ("a", "b"):
        coarse, fine = (draw_pelvis(PhantomSettings(size=size, slices=20), name) for size in (64, 160))
        assert millilitres(coarse, 1, 2) == pytest.approx(millilitres(fine, 1, 2), rel=0.06)


def test_zones_lie_as_anatomy_has_them(patients):
    for volume in patients:
        gland = volume.labels > 0
        pieces, count = ndimage.label(gland)
        assert np.bincount(pieces.ravel())[1:].max() / gland.sum() > 0.97, count
        y = np.arange(96)[None, :, None] * np.ones_like(volume.labels)
        assert y[volume.labels == PERIPHERAL].mean() < y[volume.labels == TRANSITION].mean()  # behind


def test_contrasts_are_those_of_t2_and_diffusion(patients):
    brighter = []
    for volume in patients:
        t2, adc = volume.images[..., 0], volume.images[..., 1]
        peripheral, transition = volume.labels == PERIPHERAL, volume.labels == TRANSITION
        brighter.append(np.median(t2[peripheral]) / np.median(t2[transition]))
        assert 1000 < np.median(adc[peripheral]) < 2200  # 10^-6 mm^2/s
        assert 700 < np.median(adc[transition]) < 2000
        upper = adc[:, :, -2:]
        assert np.percentile(upper, 99) > 2200  # urine
    assert np.mean(np.array(brighter) > 1) > 0.8
    assert max(brighter) / min(brighter) > 1.3  # and patients differ


def test_a_threshold_does_not_find_the_prostate(patients):
    scores = []
    for volume in patients:
        t2, gland = volume.images[..., 0], volume.labels > 0
        low, high = np.percentile(t2[gland], [10, 90])
        found = (t2 > low) & (t2 < high)
        scores.append(2 * (found & gland).sum() / (found.sum() + gland.sum()))
    assert np.mean(scores) < 0.3


@pytest.mark.parametrize(("size", "slices"), [(32, 4), (33, 5)])
def test_small_volumes_are_generated(size, slices):
    volume = draw_pelvis(PhantomSettings(size=size, slices=slices), "a")
    assert volume.labels.shape == (size, size, slices)
    assert set(np.unique(volume.labels)) == {0, 1, 2}
