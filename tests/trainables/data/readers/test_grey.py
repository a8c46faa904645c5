import numpy as np

from trainables.data.readers.grey import percentile_window, to_uint8


def test_values_of_ultrasound_are_kept():
    values = np.array([[0, 17.4], [200.6, 255]])
    np.testing.assert_array_equal(to_uint8(values), [[0, 17], [201, 255]])
    np.testing.assert_array_equal(to_uint8(np.array([-100.0, 0, 100])), [0, 128, 255])


def test_a_volume_is_stretched_between_its_percentiles_whatever_its_unit():
    values = np.random.default_rng(0).gamma(2, 300, (6, 40, 40))
    low, high = np.percentile(values, (0.5, 99.5))
    expected = np.clip((values - low) / (high - low), 0, 1) * 255
    assert np.abs(percentile_window(values) - expected).max() <= 0.51
    assert np.abs(percentile_window(values * 7 - 3).astype(int) - percentile_window(values)).max() <= 1
    assert not percentile_window(np.full((2, 3, 3), 5.0)).any()


def test_a_volume_with_a_single_bright_voxel_is_not_lost():
    values = np.zeros((4, 40, 40))
    values[1, 2, 3] = 9
    assert percentile_window(values)[1, 2, 3] == 255
