import dataclasses

import numpy as np
import pytest

from trainables.phantom.anatomy.shapes import draw_heart
from trainables.phantom.imaging.ultrasound import draw_scanner, render


@pytest.fixture
def exam():
    rng = np.random.default_rng(4)
    heart = draw_heart(rng, 16)
    scanner = dataclasses.replace(
        draw_scanner(rng, heart),
        shadows=(),
        cloud=(0.5, 0.5, 0.1, -60.0),
        blood=(-40.0, -40.0),
        gain=0.0,
        patchiness=0.0,
    )
    return heart, scanner


def grid(size: int):
    centre = (np.arange(size) + 0.5) / size
    return np.meshgrid(centre, centre)


def test_nothing_is_shown_outside_the_sector(exam):
    heart, scanner = exam
    video = render(heart, scanner, 96, np.random.default_rng(0))
    x, y = grid(96)
    depth = np.hypot(x - scanner.probe[0], y - scanner.probe[1])
    angle = np.arctan2(x - scanner.probe[0], y - scanner.probe[1])
    outside = (depth > scanner.reach + 0.02) | (np.abs(angle) > max(np.abs(scanner.angles)) + 0.05)
    assert video.dtype == np.uint8
    assert video[:, outside].max() == 0
    assert video[:, ~outside].mean() > 20


def test_the_cavity_is_darker_than_what_surrounds_it(exam):
    heart, scanner = exam
    video = render(heart, scanner, 96, np.random.default_rng(0)).astype(float)
    for frame in (0, 7):
        inside = heart.covers(*grid(96), frame)
        ring = heart.covers(*(np.array(grid(96)) * 0.8 + 0.1), frame) & ~inside
        assert video[frame][inside].mean() < video[frame][ring].mean()


def test_a_shadow_takes_light_away_along_its_beam(exam):
    heart, scanner = exam
    dark = dataclasses.replace(scanner, shadows=((0.1, 0.08, 0.2, 25.0),))
    clear, shaded = (render(heart, s, 96, np.random.default_rng(0)).astype(float) for s in (scanner, dark))
    x, y = grid(96)
    angle, depth = (
        np.arctan2(x - scanner.probe[0], y - scanner.probe[1]),
        np.hypot(x - scanner.probe[0], y - scanner.probe[1]),
    )
    beam = (np.abs(angle - 0.1) < 0.03) & (depth > 0.35) & (depth < scanner.reach)
    assert shaded[:, beam].mean() < 0.7 * clear[:, beam].mean()


def test_tissue_texture_is_carried_along_by_the_motion(exam):
    heart, scanner = exam
    still = dataclasses.replace(heart, contraction=np.zeros(16), sway=np.zeros((16, 2)))
    shift = np.zeros((16, 2))
    shift[:, 0] = np.arange(16) / 96  # a pixel to the right each frame
    moved = dataclasses.replace(still, sway=shift)
    flat = dataclasses.replace(scanner, noise=-80.0, haze=(-80.0, 0.1), persistence=0.0)
    video = render(moved, flat, 96, np.random.default_rng(0)).astype(float)
    wall = still.covers(*(np.array(grid(96)) * 0.85 + 0.075), 0) & ~still.covers(*grid(96), 0)
    rows, columns = np.nonzero(wall)
    inside = (video[0][rows, columns] > 0) & (video[4][rows, columns + 4] > 0) & (video[4][rows, columns] > 0)
    rows, columns = rows[inside], columns[inside]
    carried = np.corrcoef(video[0][rows, columns], video[4][rows, columns + 4])[0, 1]
    fixed = np.corrcoef(video[0][rows, columns], video[4][rows, columns])[0, 1]
    assert carried > 0.8
    assert carried > fixed + 0.1
