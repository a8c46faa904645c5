"""Tests of exported graphs: their preprocessing against the frame store's, and programs of `torch.export`."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from trainables.data.readers.grey import percentile_window, to_gray
from trainables.data.store.resize import PixelGrid
from trainables.prediction.graph import SegmentationGraph, export_program
from trainables.prediction.levels import to_levels
from trainables.prediction.preprocessing import Preprocessing
from trainables.prediction.resampler import Resampler
from trainables.prediction.restoring import restore

SIZE = 24
PLAIN = Preprocessing(SIZE, ("grey",), (0.3,), (0.2,), ("background", "lv"))


class Bright(nn.Module):
    """Network whose foreground is what is brighter than the mean."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.cat([torch.zeros_like(images), 4 * images], 1)


def picture(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def as_tensor(images: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(images.astype(np.float32))


@pytest.mark.parametrize(
    ("shape", "tolerance"),
    [
        ((SIZE, SIZE), 0),
        ((2 * SIZE, 2 * SIZE), 0),  # ties are rounded up
        ((4 * SIZE, 4 * SIZE), 0),  # and to the even number here
        ((77, 51), 1),
        ((SIZE, 50), 0),
        ((17, 11), 1),  # OpenCV's linear weights have 11 bits
        ((17, 51), 1),
        ((51, 17), 1),
    ],
)
def test_images_are_resized_as_a_store_resizes_them(shape, tolerance):
    images = picture(2, 1, *shape)
    expected = PixelGrid.stretched(shape, SIZE).images(images)
    resampler = Resampler(SIZE)
    found = resampler.to_square(as_tensor(images), resampler.axes(as_tensor(images))).numpy()
    assert np.abs(found - expected).max() <= tolerance


@pytest.mark.parametrize("shape", [(40, 60), (9, 70), (12, 13)])
@pytest.mark.parametrize("spacing", [(0.5, 0.4), (1.5, 1.5), (2.2, 0.7)])
def test_images_are_cropped_and_padded_as_a_store_does_it(shape, spacing):
    images = picture(1, 1, *shape)
    expected = PixelGrid.centered(shape, SIZE, spacing, 0.9).images(images)
    resampler = Resampler(SIZE, 0.9)
    axes = resampler.axes(as_tensor(images), torch.tensor(spacing))
    found = resampler.to_square(as_tensor(images), axes).numpy()
    assert np.abs(found - expected).max() <= 1
    np.testing.assert_array_equal(found == 0, expected == 0)


def test_probabilities_return_to_the_image_and_outside_the_square_all_is_background():
    resampler = Resampler(SIZE, 1.0)
    images, probabilities = torch.zeros(1, 1, 60, SIZE), torch.zeros(1, 2, SIZE, SIZE)
    probabilities[:, 1, 4:10] = 1
    probabilities[:, 0] = 1 - probabilities[:, 1]
    back = resampler.to_image(probabilities, resampler.axes(images, torch.ones(2)))
    first = (60 - SIZE) // 2
    torch.testing.assert_close(back[:, :, first : first + SIZE], probabilities)
    assert back[:, 0, :first].eq(1).all()
    assert back[:, 1, first + SIZE :].eq(0).all()
    torch.testing.assert_close(back.sum(1), torch.ones(1, 60, SIZE))


@pytest.mark.parametrize(
    ("shape", "spacing"),
    [((55, 80), None), ((7, 80), None), ((9, 13), None), ((60, 31), (0.9, 0.8)), ((11, 12), (1.5, 1.9))],
)
def test_probabilities_return_to_an_image_as_those_of_study_predict(shape, spacing):
    given = replace(PLAIN, pixel_mm=None if spacing is None else 1.0)
    resampler, probabilities = Resampler(SIZE, given.pixel_mm), torch.rand(1, 3, SIZE, SIZE).softmax(1)
    axes = resampler.axes(torch.zeros(1, 1, *shape), None if spacing is None else torch.tensor(spacing))
    expected = restore(probabilities, given.grid(shape, spacing), shape, outside=0)
    torch.testing.assert_close(resampler.to_image(probabilities, axes), expected)


@pytest.mark.parametrize("scale", [0.004, 1.0, 7.3])
def test_values_become_the_levels_of_the_readers(scale):
    values = np.random.default_rng(1).gamma(2, 30, (3, 1, 20, 31)).clip(0, 255).astype(np.float32) * np.float32(scale)
    for rule, expected in (("stretched", percentile_window(values)), ("display", to_gray(values, display=True))):
        found = to_levels(torch.from_numpy(values), rule).numpy()
        assert np.abs(found - expected).max() <= 1
        assert (found != expected).mean() < 0.01
    np.testing.assert_array_equal(to_levels(torch.full((1, 1, 3, 3), 9.0), "stretched"), np.zeros((1, 1, 3, 3)))


def test_probabilities_are_the_mean_over_networks_of_normalised_frames():
    levels = torch.from_numpy(picture(2, 1, SIZE, SIZE))
    normal = (levels / 255 - 0.3) / 0.2
    graph = SegmentationGraph([Bright(), nn.Sequential(nn.Conv2d(1, 2, 1))], PLAIN)
    with torch.no_grad():
        expected = sum(network(normal).softmax(1) for network in graph.networks) / 2
        torch.testing.assert_close(graph.of_square(levels), expected)
        torch.testing.assert_close(graph(levels.float()), expected)  # an image of the square's size is not resized


@pytest.mark.parametrize("given", [PLAIN, replace(PLAIN, grey="display", pixel_mm=0.8)])
def test_a_program_gives_the_modules_probabilities_for_every_number_and_size_of_images(given):
    graph = SegmentationGraph([Bright()], given)
    exported = export_program(graph)
    assert not [node for node in exported.graph.nodes if node.kwargs.get("device") is not None]
    program = exported.module()
    for shape in ((1, 1, 40, 33), (3, 1, 10, 70), (1, 1, SIZE, SIZE)):
        arguments = graph.example(torch.rand(shape) * 255)
        torch.testing.assert_close(program(*arguments), graph(*arguments))
    elsewhere = [each.to("meta") for each in graph.example(torch.rand(2, 1, 30, 31))]
    assert program.to("meta")(*elsewhere).device.type == "meta"
