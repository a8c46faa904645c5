import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.metrics.hausdorff_distance import compute_hausdorff_distance
from monai.metrics.surface_distance import compute_average_surface_distance
from scipy import ndimage

from trainables.metrics.surface import SurfaceDistances, outline, surface_distances

SPACINGS = [(1.0, 1.0), (0.3, 0.45), (1.25, 0.5)]


def anatomical(seed: int, count: int = 3, size: int = 48, classes: int = 4) -> np.ndarray:
    """Smooth class maps with parts, holes and pieces at the border."""
    noise = np.random.default_rng(seed).normal(size=(count, classes, size, size))
    return ndimage.gaussian_filter(noise, (0, 0, 3, 3)).argmax(1)


def stacked(found: SurfaceDistances) -> np.ndarray:
    return np.stack([found.hausdorff, found.hausdorff95, found.mean_absolute, found.mean_contour])


def by_loops(predicted: np.ndarray, truth: np.ndarray, spacing: tuple[float, float]) -> list[float]:
    def edge(mask: np.ndarray) -> list[tuple[int, int]]:
        wide = np.pad(mask, 1)
        near = [(0, 1), (2, 1), (1, 0), (1, 2)]
        return [(y, x) for y, x in np.argwhere(mask) if not all(wide[y + dy, x + dx] for dy, dx in near)]

    def directed(one: np.ndarray, two: np.ndarray) -> list[float]:
        return [min(np.hypot((y - v) * spacing[0], (x - u) * spacing[1]) for v, u in edge(two)) for y, x in edge(one)]

    there, back = directed(predicted, truth), directed(truth, predicted)
    return [
        max(there + back),
        max(np.percentile(there, 95), np.percentile(back, 95)),
        float(np.mean(there + back)),
        (float(np.mean(there)) + float(np.mean(back))) / 2,
    ]


@given(st.integers(0, 2**32 - 1), st.sampled_from(SPACINGS))
@settings(max_examples=12, deadline=None)
def test_all_metrics_by_loops(seed, spacing):
    generator = np.random.default_rng(seed)
    predicted, truth = (generator.random((2, 1, 11, 9)) < generator.uniform(0.1, 0.9, (2, 1, 1, 1))).astype(int)
    if not (predicted.any() and truth.any()):
        return
    found = stacked(surface_distances(predicted, truth, 2, spacing))[:, 0, 0]
    np.testing.assert_allclose(found, by_loops(predicted[0] == 1, truth[0] == 1, spacing), atol=1e-9)


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("seed", range(3))
def test_metrics_are_monais(spacing, seed):
    predicted, truth = anatomical(seed), anatomical(seed + 100)
    found = surface_distances(predicted, truth, 4, np.array(spacing))
    hot = [torch.nn.functional.one_hot(torch.from_numpy(m), 4).movedim(-1, 1) for m in (predicted, truth)]
    step = list(spacing)
    np.testing.assert_allclose(found.hausdorff, compute_hausdorff_distance(*hot, spacing=step), rtol=1e-5)
    peer = compute_hausdorff_distance(*hot, percentile=95, spacing=step)
    np.testing.assert_allclose(found.hausdorff95, peer, rtol=1e-5)
    peer = compute_average_surface_distance(*hot, symmetric=True, spacing=step)
    np.testing.assert_allclose(found.mean_absolute, peer, rtol=1e-5)
    directed = [compute_average_surface_distance(*pair, spacing=step) for pair in (hot, hot[::-1])]
    np.testing.assert_allclose(found.mean_contour, (directed[0] + directed[1]) / 2, rtol=1e-5)


def test_circles_in_closed_form():
    """Concentric circles of 60 and 45 mm; and a circle moved by 12 mm."""
    y, x = np.mgrid[:300, :300] * 0.5 - 75.0
    large, small, moved = (np.hypot(y, x - dx) < r for dx, r in [(0, 60), (0, 45), (12, 45)])
    found = surface_distances(np.stack([large, moved]), np.stack([small, small]), 2, (0.5, 0.5))
    np.testing.assert_allclose(stacked(found)[:, 0, 0], 15.0, atol=0.5)
    assert found.hausdorff[1, 0] == pytest.approx(12.0, abs=0.5)
    angle = np.linspace(0, 2 * np.pi, 10000)
    outside = np.abs(np.hypot(12 + 45 * np.cos(angle), 45 * np.sin(angle)) - 45).mean()
    assert found.mean_absolute[1, 0] == pytest.approx(outside, abs=0.3)


def test_each_image_has_its_own_spacing():
    predicted, truth = anatomical(1, 2), anatomical(2, 2)
    together = stacked(surface_distances(predicted, truth, 4, np.array([[1.0, 2.0], [0.5, 0.3]])))
    for image, spacing in enumerate([(1.0, 2.0), (0.5, 0.3)]):
        alone = stacked(surface_distances(predicted[[image]], truth[[image]], 4, spacing))
        np.testing.assert_array_equal(together[:, [image]], alone)


def test_empty_masks():
    empty = np.zeros((1, 30, 40), int)
    full = np.zeros_like(empty)
    full[:, 10:20, 10:20] = 1
    diagonal = np.hypot(30 * 0.5, 40 * 2.0)
    for one, two, penalty in [(empty, empty, 0.0), (full, empty, diagonal), (empty, full, diagonal)]:
        assert (stacked(surface_distances(one, two, 2, (0.5, 2.0))) == penalty).all()
        assert np.isnan(stacked(surface_distances(one, two, 2, (0.5, 2.0), "nan"))).all()
    assert (stacked(surface_distances(full, full, 2, (0.5, 2.0))) == 0).all()
    assert surface_distances(full, full, 3, (0.5, 2.0)).hausdorff.tolist() == [[0.0, 0.0]]


def test_unknown_spacing_gives_no_number():
    masks = anatomical(0, 2)
    found = surface_distances(masks, masks, 4, np.array([[np.nan, np.nan], [1.0, 1.0]]))
    assert np.isnan(found.hausdorff[0]).all()
    assert (found.hausdorff[1] == 0).all()


def test_the_outline_goes_along_the_images_border():
    assert len(outline(np.ones((4, 5), bool))) == 14
    assert outline(np.zeros((4, 5), bool)).shape == (0, 2)


def test_masks_of_different_shape_are_refused():
    with pytest.raises(ValueError, match=r"\(1, 4, 4\) and \(1, 4, 5\)"):
        surface_distances(np.zeros((1, 4, 4), int), np.zeros((1, 4, 5), int), 2, (1.0, 1.0))
