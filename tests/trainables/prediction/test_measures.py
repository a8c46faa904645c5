import numpy as np
import pytest

from trainables.data.readers.grid import Grid
from trainables.data.store.resize import PixelGrid
from trainables.prediction.decoding import DecodedImage
from trainables.prediction.measures import is_apical, measure

CLASSES = ("background", "lv", "la")


def image(
    frames: int, spacing: tuple[float, float] | None, *, volumes: int = 1, stack: bool = False, mm: float | None = None
):
    shape = (frames, 1, 128, 128)
    pixels = np.zeros(shape, np.uint8)
    grid = PixelGrid.stretched(shape[2:], 128)
    return DecodedImage(None, pixels, pixels, grid, volumes, stack, spacing, mm, None, None, None)  # type: ignore[arg-type]


def ellipse(height: float, width: float) -> np.ndarray:
    rows, columns = np.mgrid[:128, :128] - 63.5
    return ((rows / height) ** 2 + (columns / width) ** 2 <= 1).astype(np.uint8)


def test_the_ejection_fraction_of_ellipsoids():
    masks = np.stack([ellipse(40, 20), ellipse(50, 25), ellipse(40, 18)])
    found = measure(image(3, (1.0, 1.0)), masks, CLASSES, apical=True)
    heart = found.ventricle
    volumes = [4 / 3 * np.pi * a * b * b / 1000 for a, b in ((50, 25), (40, 18))]
    assert (heart.ed, heart.es) == (1, 2)
    assert (heart.edv, heart.esv) == (pytest.approx(volumes[0], rel=0.05), pytest.approx(volumes[1], rel=0.05))
    assert heart.ef == pytest.approx(100 * (1 - volumes[1] / volumes[0]), abs=2)
    np.testing.assert_allclose(found.areas[:, 0], [np.pi * a * b for a, b in ((40, 20), (50, 25), (40, 18))], rtol=0.01)
    second = found.areas[0, 0] - 2 * found.areas[1, 0] + found.areas[2, 0]
    assert found.smoothness[0] == pytest.approx(2 * second**2)
    assert found.unit == "mm2"


def test_without_a_spacing_there_is_an_ejection_fraction_but_no_volume():
    masks = np.stack([ellipse(50, 25), ellipse(40, 18)])
    known = measure(image(2, (0.5, 0.5)), masks, CLASSES, apical=True)
    unknown = measure(image(2, None), masks, CLASSES, apical=True)
    assert unknown.ventricle.ef == pytest.approx(known.ventricle.ef, rel=1e-6)
    assert (unknown.ventricle.edv, unknown.unit, unknown.smoothness) == (None, "pixels", None)


def test_volumes_are_sums_of_slices_and_those_of_a_cine_have_an_ejection_fraction():
    masks = np.stack([ellipse(20, 10), ellipse(20, 10), ellipse(10, 10), ellipse(10, 10)])
    found = measure(image(4, (1.0, 2.0), volumes=2, stack=True, mm=5.0), masks, CLASSES, apical=False)
    counts = masks.reshape(2, -1).sum(1)
    np.testing.assert_allclose(found.volumes[:, 0], counts * 2 * 5 / 1000)
    assert found.ventricle.ef == pytest.approx(100 * (1 - counts[1] / counts[0]))
    assert (found.ventricle.ed, found.ventricle.es) == (0, 1)


@pytest.mark.parametrize("masks", [np.zeros((3, 128, 128), np.uint8), np.stack([2 * ellipse(9, 9)] * 3)])
def test_an_image_without_a_ventricle_has_none(masks):
    assert measure(image(3, (1.0, 1.0)), masks, CLASSES, apical=True).ventricle is None


def test_other_views_and_tasks_have_no_discs():
    masks = np.stack([ellipse(50, 25)] * 3)
    assert measure(image(3, (1.0, 1.0)), masks, CLASSES, apical=False).ventricle is None
    assert measure(image(3, (1.0, 1.0)), masks, ("background", "liver", "la"), apical=True).ventricle is None
    assert is_apical(("4CH",)) and is_apical(("2CH", "4CH")) and not is_apical(("SA", "4CH")) and not is_apical(())  # noqa: PT018
    assert Grid((1, 1, 1)).spacing is None
