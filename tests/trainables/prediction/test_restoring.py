import cv2
import numpy as np
import pytest
import torch

from trainables.data.store.resize import PixelGrid
from trainables.prediction.restoring import restore, restored_masks


def random(*shape: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).random(shape).astype(np.float32))


def test_a_stretched_image_gets_bilinear_values_as_opencv_computes_them():
    values = random(2, 3, 16, 16)
    found = restore(values, PixelGrid.stretched((40, 56), 16), (40, 56))
    expected = [
        [cv2.resize(plane, (56, 40), interpolation=cv2.INTER_LINEAR) for plane in image] for image in values.numpy()
    ]
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_an_image_of_the_networks_size_keeps_its_classes_bit_for_bit():
    scores = random(2, 3, 16, 16).to(torch.bfloat16)
    found = restored_masks(scores, PixelGrid.stretched((16, 16), 16), (16, 16))
    assert (found == scores.argmax(1)).all()


def test_pixels_outside_of_the_square_are_background():
    grid = PixelGrid.centered((20, 40), 16, (1.0, 1.0), 1.0)
    values = torch.stack([torch.zeros(1, 16, 16), torch.ones(1, 16, 16)], 1)
    found = restored_masks(values * 9, grid, (20, 40))[0]
    expected = np.zeros((20, 40))
    expected[2:18, 12:28] = 1
    np.testing.assert_array_equal(found, expected)
    assert restore(values, grid, (20, 40), outside=0)[0, 0, 0, 0] == 1


@pytest.mark.parametrize("shape", [(64, 48), (200, 320)])
@pytest.mark.parametrize("pixel_mm", [None, 2.0])
def test_a_mask_survives_the_way_there_and_back(shape, pixel_mm):
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    inside = ((rows / shape[0] - 0.5) / 0.2) ** 2 + ((columns / shape[1] - 0.5) / 0.15) ** 2 <= 1
    grid = PixelGrid.fitted(shape, 128, (1.0, 1.0), pixel_mm)
    small = torch.from_numpy(grid.images(255 * inside.astype(np.uint8)[None, None])).float() / 255
    found = restored_masks(torch.cat([0.5 - small, small - 0.5], 1) * 20, grid, shape)[0].numpy().astype(bool)
    assert 2 * (found & inside).sum() / (found.sum() + inside.sum()) > 0.97
