import numpy as np
import pytest

from trainables.data.readers.grey import percentile_window, to_gray

SCENE = np.random.default_rng(0).gamma(2, 300, (6, 40, 40))


def test_eight_bits_are_kept():
    values = np.array([[0, 17], [20, 19]], np.uint8)
    np.testing.assert_array_equal(to_gray(values), values)
    np.testing.assert_array_equal(to_gray(values, display=True), values)


def test_values_of_ultrasound_are_kept():
    values = np.array([[0, 17.4], [200.6, 255]])
    np.testing.assert_array_equal(to_gray(values, display=True), [[0, 17], [201, 255]])
    np.testing.assert_array_equal(to_gray(np.array([-100.0, 0, 100]), display=True), [0, 128, 255])


@pytest.mark.parametrize("display", [True, False])
@pytest.mark.parametrize("scale", [1 / 255, 0.01, 3.0, 1e-9])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_levels_do_not_depend_on_the_unit(display, scale, dtype):
    echo = np.linspace(0, 255, 6 * 40 * 40).reshape(6, 40, 40)
    found = to_gray((echo * scale).astype(dtype), display=display)
    expected = np.clip((echo - 255 * 0.005) / (255 * 0.99), 0, 1) * 255
    assert np.abs(found - expected).max() <= 1
    assert np.unique(found).size == 256


@pytest.mark.parametrize("display", [True, False])
@pytest.mark.parametrize("hot", [65535.0, -32768.0, 300.0])
def test_one_hot_pixel_does_not_squeeze_a_picture(display, hot):
    scene = SCENE / SCENE.max()
    spoilt = scene.copy()
    spoilt[2, 3, 4] = hot
    change = np.abs(to_gray(spoilt, display=display).astype(int) - to_gray(scene))
    assert np.delete(change, np.ravel_multi_index((2, 3, 4), scene.shape)).max() <= 1


def test_padding_is_black_and_takes_no_part_of_the_range():
    padded = SCENE.copy()
    padded[:, :10] = np.nan
    found = to_gray(padded)
    assert not found[:, :10].any()
    low, high = padded[:, 10:].min(), np.percentile(np.nan_to_num(padded, nan=SCENE.min()), 99.5)
    assert np.abs(found[:, 10:] - np.clip((SCENE[:, 10:] - low) / (high - low), 0, 1) * 255).max() <= 1
    assert not to_gray(np.full((2, 3, 3), np.nan)).any()


def test_a_volume_is_stretched_between_its_percentiles_whatever_its_unit():
    low, high = np.percentile(SCENE, (0.5, 99.5))
    expected = np.clip((SCENE - low) / (high - low), 0, 1) * 255
    assert np.abs(percentile_window(SCENE) - expected).max() <= 0.51
    assert np.abs(percentile_window(SCENE * 7 - 3).astype(int) - percentile_window(SCENE)).max() <= 1
    assert not percentile_window(np.full((2, 3, 3), 5.0)).any()


def test_a_volume_with_a_single_bright_voxel_is_not_lost():
    values = np.zeros((4, 40, 40))
    values[1, 2, 3] = 9
    assert percentile_window(values)[1, 2, 3] == 255


@pytest.mark.parametrize(("dtype", "offset"), [(np.uint32, 4_000_000_000), (np.int64, -(10**14)), (np.float64, 1e14)])
def test_levels_do_not_depend_on_an_offset(dtype, offset):
    scene = SCENE.astype(int)
    moved = (scene + offset).astype(dtype)
    np.testing.assert_array_equal(to_gray(moved), to_gray(scene))
