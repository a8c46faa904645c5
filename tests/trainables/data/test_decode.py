import numpy as np
import pytest

from trainables.data.decode import Decoder, decode_all, kept_frames, resize_images, resize_mask
from trainables.data.echonet import EchoNetDynamic


@pytest.mark.parametrize(
    ("count", "phases", "masked", "stride", "expected"),
    [
        (20, {4: "ED", 12: "ES"}, [4, 12], 1, [4, 5, 6, 7, 8, 9, 10, 11, 12]),
        (20, {12: "ED", 4: "ES"}, [4, 12], 3, [4, 7, 10, 12]),
        (20, {4: "ED", 12: "ES"}, [4, 12], 0, [4, 12]),
        (20, {4: "ED", 12: "ES"}, [12], 4, [8, 12]),
        (6, {}, [], 2, [1, 3, 5]),
        (6, {2: ""}, [2], 1, [0, 1, 2, 3, 4, 5]),
        (10, {4: "ED", 40: "ES"}, [4], 3, [2, 4, 5, 8]),
        (2, {0: "ED", 1: "ES"}, [0, 1], 1, [0, 1]),
    ],
)
def test_kept_frames(count, phases, masked, stride, expected):
    assert list(kept_frames(count, phases, masked, stride)) == expected


def test_shrinking_averages_whole_blocks():
    images = np.random.default_rng(0).integers(0, 256, (3, 2, 24, 36)).astype(np.uint8)
    expected = images.reshape(3, 2, 12, 2, 12, 3).mean(axis=(3, 5))
    assert np.abs(resize_images(images, 12) - expected).max() <= 0.51


def test_enlarging_is_bilinear_between_pixel_centres():
    images = np.array([[[[0, 100], [100, 200]]]], np.uint8)
    np.testing.assert_array_equal(resize_images(images, 4)[0, 0, 0], [0, 25, 75, 100])


def test_masks_take_the_pixel_whose_centre_is_nearest():
    mask = np.arange(81, dtype=np.uint8).reshape(9, 9)
    np.testing.assert_array_equal(resize_mask(mask, 3), mask[1::3, 1::3])
    np.testing.assert_array_equal(resize_mask(mask, 27), np.repeat(np.repeat(mask, 3, 0), 3, 1))


def test_processes_decode_the_same_in_the_same_order(echonet_root):
    layout = EchoNetDynamic()
    clips, decoder = layout.scan(echonet_root).clips, Decoder(layout, echonet_root, 32, 2)
    for here, there in zip(decode_all(decoder, clips, 1), decode_all(decoder, clips, 2), strict=True):
        assert here.frames == there.frames
        np.testing.assert_array_equal(here.images, there.images)
