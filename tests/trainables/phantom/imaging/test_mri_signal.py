import numpy as np
import pytest

from trainables.phantom.imaging.mri_signal import Scan, blurred, draw_scan, magnitude, sensitivity, texture


def test_noise_is_rician():
    rng = np.random.default_rng(0)
    empty = magnitude(np.zeros((60, 60, 60), np.float32), 2.0, rng)
    assert empty.mean() == pytest.approx(2 * np.sqrt(np.pi / 2), rel=0.01)  # Rayleigh
    assert empty.std() == pytest.approx(2 * np.sqrt(2 - np.pi / 2), rel=0.01)
    bright = magnitude(np.full((60, 60, 60), 100, np.float32), 2.0, rng)
    assert bright.mean() == pytest.approx(100 + 4 / 200, rel=1e-3)
    assert bright.std() == pytest.approx(2, rel=0.01)


@pytest.mark.parametrize("step", [1.0, 2.0])
def test_texture_is_correlated_over_millimetres(straight, step):
    space = straight((64, 64, 64), step)
    field = texture(space, 3.0, np.random.default_rng(1))
    assert field.std() == pytest.approx(1)
    voxels = int(4 / step)
    found = (field * np.roll(field, voxels, 0)).mean()
    assert found == pytest.approx(np.exp(-(4.0**2) / (4 * 3.0**2)), abs=0.06)  # of a Gaussian filter's output


def test_the_coils_favour_no_place_much(straight):
    scan = Scan(texture=0.1, grain=2, blur=1, bias=0.2, noise=0.02)
    logs = np.log([sensitivity(straight((12, 12, 12)), scan, np.random.default_rng(n)) for n in range(40)])
    assert logs.mean() == pytest.approx(0, abs=0.03)
    assert 0.1 < logs.std() < 0.3


def test_blur_keeps_the_sum_and_spreads_over_millimetres(straight):
    space = straight((31, 31, 9))
    point = np.zeros(space.shape, np.float32)
    point[15, 15, 4] = 1
    spread = blurred(space, point, 2.0)
    assert spread.sum() == pytest.approx(1, abs=1e-3)
    assert np.sqrt((spread * space.x**2).sum()) == pytest.approx(2, rel=0.05)
    assert np.sqrt((spread * space.z**2).sum()) < 0.4


def test_examinations_differ_within_their_ranges():
    scans = [draw_scan(np.random.default_rng(n), blur=(0.5, 1.0), noise=(0.01, 0.04)) for n in range(30)]
    assert all(0.5 <= scan.blur <= 1.0 and 0.01 <= scan.noise <= 0.04 for scan in scans)
    assert np.std([scan.noise for scan in scans]) > 0.005
