import numpy as np
import pytest

from trainables.data.readers.planes import place_frames
from trainables.data.readers.resample import GridMismatch

ROWS, COLUMNS, SLICES = 8, 10, 4
LABELS = np.zeros((SLICES, ROWS, COLUMNS), np.int64)
for number in range(SLICES):
    LABELS[number, 1 : 3 + number, 2:5] = number + 1
TURN = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
"""An oblique orientation: directions of rows, columns and slices as rows of the matrix."""


def planes(origin=(5.0, -7.0, 30.0), down=1.5, right=1.25, step=8.0, count=SLICES) -> np.ndarray:
    across, along, through = TURN
    starts = [np.array(origin) + number * step * through for number in range(count)]
    return np.stack([[start, down * along, right * across] for start in starts])


def shifted(places: np.ndarray, rows: float = 0.0, columns: float = 0.0, slices: float = 0.0) -> np.ndarray:
    moved = places.copy()
    moved[:, 0] += rows * places[:, 1] + columns * places[:, 2] + slices * TURN[2]
    return moved


def reversed_rows(places: np.ndarray) -> np.ndarray:
    turned = shifted(places, rows=ROWS - 1)
    turned[:, 1] *= -1
    return turned


@pytest.mark.parametrize(
    ("labels", "places"),
    [
        (LABELS, planes()),
        (LABELS[::-1], planes()[::-1]),
        (LABELS[[2, 0, 3, 1]], planes()[[2, 0, 3, 1]]),
        (LABELS[:, ::-1], reversed_rows(planes())),
        (LABELS.transpose(0, 2, 1), planes()[:, [0, 2, 1]]),
        (LABELS, shifted(planes(), 0.3, -0.3, 0.05)),
    ],
)
def test_labels_are_placed_on_the_same_place_whatever_their_order(labels, places):
    np.testing.assert_array_equal(place_frames(labels, places, planes(), (ROWS, COLUMNS)), LABELS)


def test_other_pixel_sizes_take_the_nearest():
    fine = np.repeat(np.repeat(LABELS, 2, axis=1), 2, axis=2)
    places = shifted(planes(), -0.25, -0.25)
    places[:, 1:] /= 2
    np.testing.assert_array_equal(place_frames(fine, places, planes(), (ROWS, COLUMNS)), LABELS)
    np.testing.assert_array_equal(place_frames(LABELS, planes(), places, (2 * ROWS, 2 * COLUMNS)), fine)


def test_frames_without_labels_may_be_missing_from_a_segmentation():
    found = place_frames(LABELS[[2, 1]], planes()[[2, 1]], planes(), (ROWS, COLUMNS), sparse=True)
    np.testing.assert_array_equal(found, LABELS * np.array([0, 1, 1, 0])[:, None, None])
    with pytest.raises(GridMismatch, match="2 of 4 frames have none in their plane"):
        place_frames(LABELS[[2, 1]], planes()[[2, 1]], planes(), (ROWS, COLUMNS))


def test_moments_of_one_plane_are_paired_by_their_order():
    places = planes(step=0.0)
    np.testing.assert_array_equal(place_frames(LABELS, places, places, (ROWS, COLUMNS)), LABELS)


@pytest.mark.parametrize(
    ("places", "text"),
    [
        (shifted(planes(), rows=1), "not at the same place, by up to 1 voxels"),
        (shifted(planes(), columns=-3), "not at the same place, by up to 3 voxels"),
        (shifted(planes(), slices=4.0), "4 of its 4 frames lie in no frame's plane"),
        (planes(step=7.0), "3 of its 4 frames lie in no frame's plane"),
        (planes(down=1.2), "not at the same place"),
    ],
)
def test_labels_of_another_place_are_refused(places, text):
    with pytest.raises(GridMismatch, match=text):
        place_frames(LABELS, places, planes(), (ROWS, COLUMNS))


def test_a_turn_in_the_plane_is_refused():
    angle = np.deg2rad(10)
    places = planes()
    unit = places[:, 1:] / np.linalg.norm(places[:, 1:], axis=2, keepdims=True)
    places[:, 1] = 1.5 * (np.cos(angle) * unit[:, 0] + np.sin(angle) * unit[:, 1])
    places[:, 2] = 1.25 * (np.cos(angle) * unit[:, 1] - np.sin(angle) * unit[:, 0])
    with pytest.raises(GridMismatch, match="rotated against each other"):
        place_frames(LABELS, places, planes(), (ROWS, COLUMNS))
