import numpy as np
import pytest
from scipy import ndimage

from trainables.phantom import PhantomSettings
from trainables.phantom.anatomy.abdomen import LABELS, draw_abdomen

SETTINGS = PhantomSettings(size=80, slices=24)
NAMES = [str(number) for number in range(12)]


@pytest.fixture(scope="module")
def dual():
    return [draw_abdomen(SETTINGS, name, "T1DUAL") for name in NAMES]


@pytest.fixture(scope="module")
def spir():
    return [draw_abdomen(SETTINGS, name, "T2SPIR") for name in NAMES]


def millilitres(volume, organ):
    return (volume.labels == LABELS[organ]).sum() * np.prod(volume.spacing) / 1000


def test_a_patient_depends_on_the_seed_and_the_name_alone(dual):
    again = draw_abdomen(PhantomSettings(size=80, slices=24, subjects=5), "3", "T1DUAL")
    np.testing.assert_array_equal(again.images, dual[3].images)
    other = draw_abdomen(PhantomSettings(size=80, slices=24, seed=1), "3", "T1DUAL")
    assert not np.array_equal(other.labels, dual[3].labels)


def test_arrays_are_as_the_writers_take_them(dual, spir):
    for volumes, channels in ((dual, 2), (spir, 1)):
        for volume in volumes:
            assert volume.images.shape == (80, 80, 24, channels)
            assert volume.images.dtype == np.float32
            assert np.isfinite(volume.images).all()
            assert np.unique(volume.labels).tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("organ", "low", "high"),
    [("liver", 500, 2600), ("right kidney", 70, 320), ("left kidney", 70, 320), ("spleen", 60, 600)],
)
def test_organs_are_of_human_size(dual, organ, low, high):
    sizes = np.array([millilitres(volume, organ) for volume in dual])
    assert (sizes > low).all(), sizes
    assert (sizes < high).all(), sizes
    assert sizes.std() / sizes.mean() > 0.08


def test_organs_lie_on_their_side(dual):
    for volume in dual:
        x = {organ: np.argwhere(volume.labels == label)[:, 0].mean() for organ, label in LABELS.items()}
        assert x["liver"] > 40
        assert x["right kidney"] > 40
        assert x["left kidney"] < 40
        assert x["spleen"] < 40
        z = {organ: np.argwhere(volume.labels == label)[:, 2].mean() for organ, label in LABELS.items()}
        assert z["right kidney"] < z["liver"]
        pieces, _ = ndimage.label(volume.labels == LABELS["liver"])
        assert np.bincount(pieces.ravel())[1:].max() > 0.95 * (volume.labels == LABELS["liver"]).sum()


def test_two_breath_holds_show_the_same_organs_somewhat_moved(dual, spir):
    moved = 0
    for first, second in zip(dual, spir, strict=True):
        one, other = first.labels == LABELS["liver"], second.labels == LABELS["liver"]
        overlap = 2 * (one & other).sum() / (one.sum() + other.sum())
        assert overlap > 0.75
        moved += overlap < 0.999
    assert moved > 6


def test_fat_is_bright_in_phase_and_suppressed_in_t2(dual, spir):
    for first, second in zip(dual, spir, strict=True):
        shell = ndimage.binary_dilation(first.labels == LABELS["left kidney"], iterations=2) & (first.labels == 0)
        lean = first.labels == LABELS["spleen"]
        assert np.percentile(first.images[shell, 0], 70) > 1.3 * np.median(first.images[lean, 0])
        spleen = second.labels == LABELS["spleen"]
        assert np.median(second.images[spleen, 0]) > 1.2 * np.median(second.images[second.labels == 1, 0])
        assert np.percentile(second.images[..., 0], 50) < 0.6 * np.median(second.images[spleen, 0])


def test_fat_in_the_liver_takes_signal_out_of_phase_but_not_in_the_spleen(dual):
    losses = []
    for volume in dual:
        within, out = volume.images[..., 0], volume.images[..., 1]
        core = ndimage.binary_erosion(volume.labels == LABELS["spleen"])
        assert np.median(out[core]) == pytest.approx(np.median(within[core]), rel=0.06)
        core = ndimage.binary_erosion(volume.labels == LABELS["liver"], iterations=2)
        losses.append(1 - np.median(out[core]) / np.median(within[core]))
    assert max(losses) > 0.1
    assert min(losses) < 0.1


def test_water_and_fat_cancel_where_they_meet():
    volume = draw_abdomen(PhantomSettings(size=160, slices=12), "a", "T1DUAL")
    ratio = volume.images[..., 1] / volume.images[..., 0]
    kidney = volume.labels == LABELS["left kidney"]
    cross = ndimage.generate_binary_structure(2, 1)[..., None]  # in the slice
    edge = ndimage.binary_dilation(kidney, cross) & ~ndimage.binary_erosion(kidney, cross)
    assert np.percentile(ratio[edge], 10) < 0.5
    assert np.median(ratio[ndimage.binary_erosion(kidney, cross, iterations=3)]) > 0.9


@pytest.mark.parametrize(("size", "slices"), [(32, 4), (33, 5)])
def test_small_volumes_are_generated(size, slices):
    volume = draw_abdomen(PhantomSettings(size=size, slices=slices), "a", "T2SPIR")
    assert volume.labels.shape == (size, size, slices)
    assert (volume.labels == LABELS["liver"]).any()
