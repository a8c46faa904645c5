import numpy as np
import pytest

from trainables.phantom.anatomy.chest import FAT, draw_chest


@pytest.fixture(params=range(4))
def chest(request):
    return draw_chest(np.random.default_rng(request.param))


def box(chest, low, high):
    """Points between two corners, in mm from the chest's centre."""
    lines = [np.arange(a, b, 3.0) for a, b in zip(low, high, strict=True)]
    return np.array(chest.centre) + np.stack(np.meshgrid(*lines, indexing="ij"), axis=-1)


def test_air_outside_and_fat_under_the_skin(chest):
    wide, deep = chest.size
    assert (chest.signal(box(chest, (wide + 2, -50, 0), (wide + 40, 50, 30))) == 0).all()
    line = np.array(chest.centre) + np.stack([np.zeros(400), np.linspace(-deep - 5, 0, 400), np.full(400, 40.0)], 1)
    signal = chest.signal(line)
    first = np.flatnonzero(signal)[0]
    assert line[first, 1] == pytest.approx(chest.centre[1] - deep, abs=1)
    thick = np.argmax(signal[first:] != FAT) * (line[1, 1] - line[0, 1])
    assert thick >= chest.fat - 1


def test_lungs_are_dark_and_the_liver_is_not(chest):
    half = chest.size[0] / 2
    lung = chest.signal(box(chest, (half - 15, -30, 40), (half + 15, 30, 80)))
    assert np.median(lung) < 0.1
    liver = chest.signal(box(chest, (-half - 20, -30, chest.diaphragm - 40), (-half + 20, 30, chest.diaphragm - 15)))
    assert 0.2 < np.median(liver) < 0.45
    assert (liver >= 0.2).mean() > 0.95  # no fat, no air


def test_patients_differ():
    points = box(draw_chest(np.random.default_rng(0)), (-150, -100, -80), (150, 100, 60))
    first, second = (draw_chest(np.random.default_rng(seed)).signal(points) for seed in (0, 1))
    assert (first != second).mean() > 0.1
